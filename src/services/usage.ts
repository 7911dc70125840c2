import type { Repositories } from '../repositories/index.ts'
import type { DayRange, GroupPage, UsageGroup, UsageSum } from '../repositories/ledger.ts'
import { wrongField } from './account-rules.ts'
import type { HeavyReads } from './heavy-reads.ts'
import type { Scope } from './scopes.ts'
import type { Caller } from './sessions.ts'

type Deps = { repositories: Pick<Repositories, 'ledger'>; heavyReads: HeavyReads }

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
/** Of one page. */
export const MOST_ROWS = 1000

/** Who may not read conversations need not learn which there are. */
const IDS_OF_CONVERSATIONS: Scope = 'conversations:read'

/** What was used and what it cost, from the ledger's rows. */
export class UsageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The caller's own, or for an admin everybody's; the last 30 days unless a range is given. The total
   * is that of all pages.
   *
   * `withheld`: the permission without which the keys of the rows are left out. `isOthersText` of a
   * row: its key is text that another user wrote. `nextOffset` leads to the page after this one; null
   * on the last.
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

/** Taken as they are they would answer nothing, as if nothing had been used. */
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
