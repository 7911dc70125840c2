import type { HeavyReads } from '../../concurrency/heavy-reads.ts'
import {
  ALLOCATION_GROUPS,
  type AllocationGroup,
  type AllocationRow,
  type AllocationScope,
  type Payer,
} from '../../repositories/billing/allocation.ts'
import {
  type DayRange,
  type GroupPage,
  type SessionFacts,
  USAGE_GROUPS,
  type UsageFigures,
  type UsageGroup,
  type UsageSum,
} from '../../repositories/billing/ledger.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import type { Scope } from '../access/scopes.ts'
import { teamNotFound } from '../teams/team-errors.ts'
import { teamRef } from '../teams/team-name.ts'
import { mayAdmit } from '../teams/team-roles.ts'

export {
  ALLOCATION_GROUPS,
  type AllocationGroup,
  type AllocationRow,
  USAGE_GROUPS,
  type UsageGroup,
}

type Deps = {
  repositories: Pick<Repositories, 'allocation' | 'ledger' | 'teams'>
  heavyReads: HeavyReads
}

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
/** The most rows on one page. */
export const MOST_ROWS = 1000

/** Groups whose keys are what a client said of itself. */
const NAMED_BY_CLIENTS: ReadonlySet<UsageGroup> = new Set(['tag', 'session', 'client'])

/** Without this scope a caller must not learn which conversations exist. */
const IDS_OF_CONVERSATIONS: Scope = 'conversations:read'

/** Reports usage and cost from the ledger. */
export class UsageService {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The caller's own usage, or for an auditor or admin everyone's; the last 30 days unless a range is given.
   * The total covers all pages.
   *
   * `username` of a row: whose session it is, in a report of everyone's sessions; else null.
   * `withheld`: the scope without which the rows' keys are left out. `isOthersText` of a row: its
   * key is text that another user wrote. `isDeleted`: the conversation no longer exists. `nextOffset`
   * leads to the next page; null on the last.
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
    const reader = { userId: caller.userId, readsEverybody: caller.isAuditor }
    const { rows, total, groups } = await this.#deps.heavyReads.run(caller.userId, () =>
      this.#deps.repositories.ledger.sum(reader, days, groupBy, page),
    )
    const end = page.offset + rows.length
    const isOfConversations = groupBy === 'conversation'
    const isWithheld = isOfConversations && !caller.scopes.includes(IDS_OF_CONVERSATIONS)
    const deleted = isOfConversations && !isWithheld ? await this.#deleted(rows) : undefined
    return {
      scope: caller.isAuditor ? ('everybody' as const) : ('own' as const),
      ...days,
      groupBy,
      ...(isWithheld ? { withheld: IDS_OF_CONVERSATIONS } : {}),
      rows: rows.map((row) => ({
        ...row,
        key: isWithheld ? null : row.key,
        username: caller.isAuditor ? row.username : null,
        isOthersText: NAMED_BY_CLIENTS.has(groupBy) && row.isOthers && row.key !== null,
        isDeleted: row.key !== null && deleted?.has(row.key) === true,
      })),
      total,
      nextOffset: end < groups && rows.length > 0 ? end : null,
    }
  }

  /**
   * Usage by one or two groups at once. Of a team: what it paid for, of every member for those who
   * manage it, an auditor or admin, else the caller's part. Without one: what the caller sent, or for
   * an auditor or admin what everybody did.
   *
   * @param of `team`: an id or a name; `payer`: only what such keys paid for.
   * @throws AppError invalid_input for days in the wrong order, and for a team whose members are to
   *   have paid themselves; not_found for a team that the caller is not in.
   */
  async allocate(
    caller: Caller,
    range: { from?: string | undefined; to?: string | undefined },
    groups: readonly AllocationGroup[],
    of: { team?: string | undefined; payer?: Payer | undefined },
    { limit, offset }: GroupPage,
  ) {
    requireOrder(range)
    const days = wholeRange(range, new Date())
    const scope = { ...(await this.#scopeOf(caller, of.team)), payer: of.payer }
    if (of.team !== undefined && of.payer === 'own') {
      throw wrongField('payer', 'must be "team" or "all" with a team: it counts what the team paid')
    }
    const page = { limit: limit + 1, offset }
    const found = await this.#deps.heavyReads.run(caller.userId, () =>
      this.#deps.repositories.allocation.sum(days, groups, scope, page, caller.userId),
    )
    const nextOffset = found.length > limit ? offset + limit : null
    const isOwn = scope.userId !== undefined
    return { ...days, isOwn, rows: found.slice(0, limit), nextOffset }
  }

  async #scopeOf(caller: Caller, team: string | undefined): Promise<AllocationScope> {
    if (team === undefined) return caller.isAuditor ? {} : { userId: caller.userId }
    if (caller.isAuditor) return { teamId: (await this.#findAny(team)).id }
    const found = await this.#deps.repositories.teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    const teamId = found.id
    return mayAdmit(found.role, 'member') ? { teamId } : { teamId, userId: caller.userId }
  }

  async #findAny(team: string): Promise<{ id: string }> {
    const found = await this.#deps.repositories.teams.findAny(teamRef(team))
    if (found === undefined) throw teamNotFound()
    return found
  }

  async #deleted(rows: readonly UsageSum[]): Promise<Set<string>> {
    const ids = rows.flatMap(({ key }) => (key === null ? [] : [key]))
    return new Set(await this.#deps.repositories.ledger.listDeleted(ids))
  }
}

/**
 * Of a session: how much of its input came from the cache, and how much of its cost sub-agents caused.
 * 0 to 1, to four decimals; null where there is nothing to share.
 */
export const sessionShares = (
  { inputTokens, cacheReadTokens, costNanoUsd }: UsageFigures,
  { subagentCostNanoUsd }: SessionFacts,
) => ({
  cacheHits: shareOf(cacheReadTokens, inputTokens),
  subagents: shareOf(Number(subagentCostNanoUsd), Number(costNanoUsd)),
})

const shareOf = (part: number, whole: number): number | null =>
  whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000

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
