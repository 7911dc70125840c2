import type { Repositories } from '../repositories/index.ts'
import type { DayRange, UsageGroup, UsageSum } from '../repositories/ledger.ts'
import type { Caller } from './sessions.ts'

type Deps = { repositories: Pick<Repositories, 'ledger'> }

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30

/** What was used and what it cost, from the ledger's rows. */
export class UsageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** The caller's own, or for an admin everybody's; the last 30 days unless a range is given. */
  async report(
    caller: Caller,
    range: { from?: string | undefined; to?: string | undefined },
    groupBy: UsageGroup,
  ) {
    const days = wholeRange(range, new Date())
    const scope = caller.isAdmin ? null : caller.userId
    const rows = await this.#deps.repositories.ledger.sum(scope, days, groupBy)
    return {
      scope: caller.isAdmin ? ('everybody' as const) : ('own' as const),
      ...days,
      groupBy,
      rows: rows.map(toFigures),
      total: toFigures(addUp(rows)),
    }
  }
}

function wholeRange(
  { from, to }: { from?: string | undefined; to?: string | undefined },
  now: Date,
): DayRange {
  const last = to ?? now.toISOString().slice(0, 10)
  const first = new Date(Date.parse(last) - (DEFAULT_DAYS - 1) * DAY_MS).toISOString().slice(0, 10)
  return { from: from ?? first, to: last }
}

function addUp(rows: readonly UsageSum[]): UsageSum {
  const total = (field: Exclude<keyof UsageSum, 'key'>) =>
    String(rows.reduce((sum, row) => sum + BigInt(row[field]), 0n))
  return {
    key: null,
    calls: total('calls'),
    estimatedCalls: total('estimatedCalls'),
    unpricedCalls: total('unpricedCalls'),
    inputTokens: total('inputTokens'),
    outputTokens: total('outputTokens'),
    cacheReadTokens: total('cacheReadTokens'),
    cacheWriteTokens: total('cacheWriteTokens'),
    costNanoUsd: total('costNanoUsd'),
  }
}

const toFigures = (sum: UsageSum) => ({
  key: sum.key,
  calls: Number(sum.calls),
  estimatedCalls: Number(sum.estimatedCalls),
  unpricedCalls: Number(sum.unpricedCalls),
  inputTokens: Number(sum.inputTokens),
  outputTokens: Number(sum.outputTokens),
  cacheReadTokens: Number(sum.cacheReadTokens),
  cacheWriteTokens: Number(sum.cacheWriteTokens),
  costUsd: Number(sum.costNanoUsd) / 1e9,
})
