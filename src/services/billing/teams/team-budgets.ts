/** Reads and changes what a team, and each of its members, may spend with the team's key. */

import type { BudgetPeriod, Limit, Spending } from '../../../repositories/billing/budgets.ts'
import { nextStart, periodsAt } from '../../../repositories/billing/periods.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import type { MemberCap } from '../../../repositories/teams/team-budgets.ts'
import type { TeamRole } from '../../../repositories/teams/teams.ts'
import type { Caller } from '../../access/caller.ts'
import { requireAuditor } from '../../access/installation-roles.ts'
import type { AuditDetail, AuditLog } from '../../audit/audit-log.ts'
import {
  type HeldTeam,
  holdTeam,
  memberOf,
  recordInTeam,
  type TeamActor,
} from '../../teams/team-authority.ts'
import {
  memberNotFound,
  noSuchTeam,
  teamNotFound,
  teamRoleTooSmall,
} from '../../teams/team-errors.ts'
import { teamRef } from '../../teams/team-name.ts'
import { mayAdmit } from '../../teams/team-roles.ts'
import { memberCapIn, poolLimitIn } from './raised-limits.ts'

type Needed = 'budgetRequests' | 'teamBudgets' | 'teamMembers'
type Deps = {
  repositories: Pick<
    Repositories,
    'teamBooks' | 'teamBudgets' | 'teamKeys' | 'teamMembers' | 'teams'
  >
  transact: Transact<
    | 'auditEvents'
    | 'authority'
    | 'budgetRequests'
    | 'teamBudgets'
    | 'teamMembers'
    | 'teams'
    | 'users'
  >
  audit: Pick<AuditLog, 'record'>
}

/** One book: its limit, and what it holds. */
export type BookStatus = {
  period: BudgetPeriod
  limit: Limit
  spent: Spending['spent']
  reserved: Spending['reserved']
  resetsAt: Date
}

export type MemberBudget = {
  userId: string
  username: string
  isOwnCap: boolean
  month: BookStatus
}

const PERIODS: readonly BudgetPeriod[] = ['day', 'month']
const NOTHING = { nanoUsd: 0n, tokens: 0 }
const MOST_MEMBERS = 1000
const DAY_MS = 86_400_000
const CHART_DAYS = 31

export class TeamBudgets {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The team's pool, and the caller's part of it.
   *
   * @param team an id or a name, here and below.
   * @throws AppError not_found for a team that the caller is not in.
   */
  async show(caller: Caller, team: string, now = new Date()) {
    const found = await this.#deps.repositories.teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    return this.#show(found, caller.userId, now)
  }

  /**
   * The same with what each member spent this month, for those who manage the team, and the pool's
   * days of the last month.
   */
  async showAll(caller: Caller, team: string, now = new Date()) {
    return this.#withMembers(await this.show(caller, team, now), now)
  }

  /** The same of any team, for auditors and admins of the installation. @throws AppError forbidden, not_found. */
  async showAny(caller: Caller, id: string, now = new Date()) {
    requireAuditor(caller)
    const found = await this.#deps.repositories.teams.find(id)
    if (found === undefined) throw noSuchTeam()
    const shown = await this.#show({ ...found, role: 'owner' as const }, caller.userId, now)
    return this.#withMembers(shown, now)
  }

  /** For the operator. @throws AppError not_found. */
  async showForOperator(team: string, now = new Date()) {
    const { teams, teamBudgets } = this.#deps.repositories
    const found = await teams.findAny(teamRef(team))
    if (found === undefined) throw noSuchTeam()
    const limits = await teamBudgets.listPoolLimits(found.id)
    const pool = await teamBudgets.findPoolSpending(found.id, periodsAt(now))
    const statuses = PERIODS.map((period) =>
      statusOf(period, poolLimitIn(period, limits, []), pool, now),
    )
    return { team: found, limits, pool: statuses }
  }

  async #show<Found extends { id: string }>(found: Found, callerId: string, now: Date) {
    const { teamBooks, teamBudgets, teamKeys } = this.#deps.repositories
    const periods = periodsAt(now)
    const [limits, caps, pool, parts, key, raises] = await Promise.all([
      teamBudgets.listPoolLimits(found.id),
      teamBudgets.listCaps(found.id),
      teamBudgets.findPoolSpending(found.id, periods),
      teamBudgets.listMemberSpending(found.id, periods),
      teamKeys.findStatus(found.id),
      teamBooks.listRaises(found.id),
    ])
    const statusOfMember = (userId: string, period: BudgetPeriod) => {
      const own = parts.filter((part) => part.userId === userId)
      return statusOf(period, memberCapIn(period, userId, caps, raises), own, now)
    }
    return {
      team: found,
      hasKey: key !== undefined,
      limits,
      caps,
      statusOfMember,
      pool: PERIODS.map((period) =>
        statusOf(period, poolLimitIn(period, limits, raises), pool, now),
      ),
      member: PERIODS.map((period) => statusOfMember(callerId, period)),
    }
  }

  async #withMembers<Shown extends ShownBudgets>(shown: Shown, now: Date) {
    const { teamBudgets, teamMembers } = this.#deps.repositories
    const { id, role } = shown.team
    const from = new Date(now.getTime() - (CHART_DAYS - 1) * DAY_MS).toISOString().slice(0, 10)
    const members = mayAdmit(role, 'member') ? await teamMembers.list(id, MOST_MEMBERS) : []
    return {
      ...shown,
      days: await teamBudgets.listDays(id, from),
      members: members.map(({ userId, username }): MemberBudget => {
        const isOwnCap = shown.caps.some((cap) => cap.userId === userId)
        return { userId, username, isOwnCap, month: shown.statusOfMember(userId, 'month') }
      }),
    }
  }

  /**
   * Sets (null: removes) a limit of the pool, and ends what raised it: the installation's where the
   * actor is the operator or one of its admins, else the team's own. Both apply.
   *
   * @throws AppError not_found, forbidden unless the actor manages the team, unauthenticated,
   *   insufficient_scope.
   */
  async setPool(
    actor: TeamActor,
    team: string,
    period: BudgetPeriod,
    limit: Limit | null,
  ): Promise<void> {
    const setBy = memberOf(actor) === undefined ? 'admin' : 'team'
    await this.#change(
      actor,
      team,
      { period, limit, detail: { setBy } },
      async (repositories, id) => {
        const { budgetRequests, teamBudgets } = repositories
        const isInstallations = setBy === 'admin'
        const raised = { teamId: id, userId: null, book: 'team', period, isInstallations } as const
        await budgetRequests.endRaises(raised)
        if (limit === null) await teamBudgets.deletePoolLimit(id, period, setBy)
        else await teamBudgets.putPoolLimit(id, { period, setBy, ...limit })
        return undefined
      },
    )
  }

  /**
   * Sets (null: removes) what one member may spend of the pool.
   *
   * @param username null: every member who has no cap of their own.
   * @throws AppError like {@link setPool}; not_found also for the member.
   */
  async setCap(
    actor: TeamActor,
    team: string,
    username: string | null,
    period: BudgetPeriod,
    limit: Limit | null,
  ): Promise<void> {
    const detail = { setBy: 'team', ofMembers: true }
    await this.#change(actor, team, { period, limit, detail }, async (repositories, id) => {
      const { budgetRequests, teamBudgets, teamMembers } = repositories
      const member =
        username === null ? null : await teamMembers.find(id, username.trim().toLowerCase())
      if (member === undefined) throw memberNotFound()
      const userId = member?.userId ?? null
      await budgetRequests.endRaises({ teamId: id, userId, book: 'member', period })
      await teamBudgets.replaceCap(id, userId, period, limit)
      return member?.userId
    })
  }

  async #change(
    actor: TeamActor,
    team: string,
    { period, limit, detail }: { period: BudgetPeriod; limit: Limit | null; detail: AuditDetail },
    work: (
      repositories: Pick<InTransaction, Needed>,
      teamId: string,
    ) => Promise<string | undefined>,
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      refuseMembers(held)
      const memberId = await work(repositories, held.id)
      await recordInTeam(this.#deps.audit, repositories, actor, {
        action: limit === null ? 'budget.removed' : 'budget.set',
        target: memberId ? { kind: 'user', id: memberId } : { kind: 'team', id: held.id },
        teamId: held.id,
        detail: {
          ...detail,
          period,
          nanoUsd: limit?.nanoUsd == null ? null : String(limit.nanoUsd),
          tokens: limit?.tokens ?? null,
        },
      })
    })
  }
}

function refuseMembers({ authority }: HeldTeam): void {
  if (!mayAdmit(authority, 'member')) throw teamRoleTooSmall('member', 'admin')
}

type ShownBudgets = {
  team: { id: string; role: TeamRole }
  caps: readonly MemberCap[]
  statusOfMember(userId: string, period: BudgetPeriod): BookStatus
}

function statusOf(
  period: BudgetPeriod,
  limit: Limit,
  books: readonly Spending[],
  now: Date,
): BookStatus {
  const book = books.find((one) => one.period === period)
  const { spent = NOTHING, reserved = NOTHING } = book ?? {}
  return { period, limit, spent, reserved, resetsAt: nextStart(period, now) }
}
