import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import type {
  DayRange,
  GroupPage,
  UsageGroup,
  UsageSum,
} from '../../repositories/billing/ledger.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import type { Scope } from '../access/scopes.ts'

type Deps = { repositories: Pick<Repositories, 'ledger'>; heavyReads: HeavyReads }

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
/** The most rows on one page. */
export const MOST_ROWS = 1000

/** Without this scope a caller must not learn which conversations exist. */
const IDS_OF_CONVERSATIONS: Scope = 'conversations:read'

/** Reports usage and cost from the ledger. */
export class UsageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The caller's own usage, or for an admin everyone's; the last 30 days unless a range is given.
   * The total covers all pages.
   *
   * `withheld`: the scope without which the rows' keys are left out. `isOthersText` of a row: its
   * key is text that another user wrote. `nextOffset` leads to the next page; null on the last.
   *
   *
   * @throws AppError invalid_input for days in the wrong order.
   */
  async report(
    caller: Caller,
    range: { from?: string | undefined; to?: string | undefined },
    groupBy: UsageGroup,
    page: GroupPage = { limit: MOST_ROWS, offset: 0 },
  ) {
    requireOrder(range)
    const days = wholeRange(range, new Date())
    const reader = { userId: caller.userId, readsEverybody: caller.isAdmin }
    const { rows, total, groups } = await this.#deps.heavyReads.run(caller.userId, () =>
      this.#deps.repositories.ledger.sum(reader, days, groupBy, page),
    )
    const end = page.offset + rows.length
    const isWithheld = groupBy === 'conversation' && !caller.scopes.includes(IDS_OF_CONVERSATIONS)
    return {
      scope: caller.isAdmin ? ('everybody' as const) : ('own' as const),
      ...days,
      groupBy,
      ...(isWithheld ? { withheld: IDS_OF_CONVERSATIONS } : {}),
      rows: rows.map((row) => ({
        ...toFigures(row),
        key: isWithheld ? null : row.key,
        isOthersText: groupBy === 'tag' && row.isOthers && row.key !== null,
      })),
      total: toFigures(total),
      nextOffset: end < groups && rows.length > 0 ? end : null,
    }
  }
}

/** A reversed range would return no rows, as if there had been no usage. */
function requireOrder({ from, to }: { from?: string | undefined; to?: string | undefined }): void {
  if (from !== undefined && to !== undefined && from > to) {
    throw wrongField('from', `must not be after to (${to})`)
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

const toFigures = (sum: UsageSum) => ({
  calls: Number(sum.calls),
  estimatedCalls: Number(sum.estimatedCalls),
  unpricedCalls: Number(sum.unpricedCalls),
  inputTokens: Number(sum.inputTokens),
  outputTokens: Number(sum.outputTokens),
  cacheReadTokens: Number(sum.cacheReadTokens),
  cacheWriteTokens: Number(sum.cacheWriteTokens),
  costUsd: Number(sum.costNanoUsd) / 1e9,
})
