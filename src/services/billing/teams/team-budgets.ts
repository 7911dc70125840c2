/** Reads and changes what a team, and each of its members, may spend with the team's key. */

import type { BudgetPeriod, Limit, Spending } from '../../../repositories/billing/budgets.ts'
import { nextStart, periodsAt } from '../../../repositories/billing/periods.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import type { PoolSetBy } from '../../../repositories/teams/team-budgets.ts'
import type { Caller } from '../../access/caller.ts'
import { requireAuditor } from '../../access/installation-roles.ts'
import type { AuditDetail, AuditLog, AuditTransaction } from '../../audit/audit-log.ts'
import {
  type HeldTeam,
  holdTeam,
  memberOf,
  personOf,
  recordInTeam,
  type TeamActor,
} from '../../teams/team-authority.ts'
import {
  memberNotFound,
  noSuchTeam,
  notOneself,
  teamNotFound,
  teamRoleTooSmall,
} from '../../teams/team-errors.ts'
import { teamRef } from '../../teams/team-name.ts'
import { mayAdmit } from '../../teams/team-roles.ts'
import { changedBy, type LimitChange } from '../books/limit.ts'
import { memberCapIn, poolLimitIn } from './raised-limits.ts'

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

/** Of the pool, for a day or a month. */
export type PoolChange = { period: BudgetPeriod; change: LimitChange }

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
  day: BookStatus
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
    const shown = await this.show(caller, team, now)
    return this.#withMembers(shown, now, { seesAll: mayAdmit(shown.team.role, 'member') })
  }

  /**
   * The same of any team, for auditors and admins of the installation: admins may change in it what its
   * owners may.
   *
   * @throws AppError forbidden, not_found.
   */
  async showAny(caller: Caller, id: string, now = new Date()) {
    requireAuditor(caller)
    const found = await this.#deps.repositories.teams.find(id)
    if (found === undefined) throw noSuchTeam()
    const role = caller.isAdmin ? ('owner' as const) : ('member' as const)
    const shown = await this.#show({ ...found, role }, caller.userId, now)
    return this.#withMembers(shown, now, { seesAll: true })
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

  async #withMembers<Shown extends ShownBudgets>(
    shown: Shown,
    now: Date,
    { seesAll }: { seesAll: boolean },
  ) {
    const { teamBudgets, teamMembers } = this.#deps.repositories
    const { id } = shown.team
    const from = new Date(now.getTime() - (CHART_DAYS - 1) * DAY_MS).toISOString().slice(0, 10)
    const members = seesAll ? await teamMembers.list(id, MOST_MEMBERS) : []
    return {
      ...shown,
      days: await teamBudgets.listDays(id, from),
      members: members.map(({ userId, username }): MemberBudget => {
        const [day, month] = [
          shown.statusOfMember(userId, 'day'),
          shown.statusOfMember(userId, 'month'),
        ]
        return { userId, username, day, month }
      }),
    }
  }

  /**
   * Changes limits of the pool, all of them or none, and ends what raised them: the installation's where
   * the actor is the operator or one of its admins, else the team's own. Both apply.
   *
   * @param change null: removes the limit; what is left out of it stays.
   * @throws AppError not_found, forbidden unless the actor manages the team, unauthenticated,
   *   insufficient_scope, proof_required.
   */
  async setPool(actor: TeamActor, team: string, changes: readonly PoolChange[]): Promise<void> {
    const setBy = memberOf(actor) === undefined ? 'admin' : 'team'
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      refuseMembers(held)
      const stored = await repositories.teamBudgets.listPoolLimits(held.id)
      for (const { period, change } of changes) {
        const before = stored.find((one) => one.period === period && one.setBy === setBy)
        const limit = changedBy(before, change)
        await storePool(repositories, held.id, { period, setBy, limit })
        await this.#record(repositories, actor, held, { period, limit, detail: { setBy } })
      }
    })
  }

  /**
   * Changes what one member may spend of the pool, and ends what raised it.
   *
   * @param username null: every member who has no cap of their own.
   * @param change like that of {@link setPool}.
   * @throws AppError like {@link setPool}; not_found also for the member; forbidden for an admin of the
   *   installation who names themselves.
   */
  async setCap(
    actor: TeamActor,
    team: string,
    username: string | null,
    period: BudgetPeriod,
    change: LimitChange,
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      refuseMembers(held)
      const userId = await memberIn(repositories, held.id, username)
      if (memberOf(actor) === undefined && userId !== null && userId === personOf(actor)?.userId) {
        throw notOneself()
      }
      const caps = await repositories.teamBudgets.listCaps(held.id)
      const before = caps.find((cap) => cap.period === period && cap.userId === userId)
      const limit = changedBy(before, change)
      await repositories.budgetRequests.endRaises({
        teamId: held.id,
        userId,
        book: 'member',
        period,
      })
      await repositories.teamBudgets.replaceCap(held.id, userId, period, limit)
      const detail = { setBy: 'team', ofMembers: true }
      await this.#record(repositories, actor, held, { period, limit, detail, userId })
    })
  }

  async #record(
    transaction: AuditTransaction,
    actor: TeamActor,
    { id }: HeldTeam,
    { period, limit, detail, userId = null }: Recorded,
  ): Promise<void> {
    await recordInTeam(this.#deps.audit, transaction, actor, {
      action: limit === null ? 'budget.removed' : 'budget.set',
      target: userId === null ? { kind: 'team', id } : { kind: 'user', id: userId },
      teamId: id,
      detail: {
        ...detail,
        period,
        nanoUsd: limit?.nanoUsd == null ? null : String(limit.nanoUsd),
        tokens: limit?.tokens ?? null,
      },
    })
  }
}

type Recorded = {
  period: BudgetPeriod
  limit: Limit | null
  detail: AuditDetail
  /** Of the member whom it is about. */
  userId?: string | null
}

async function storePool(
  { budgetRequests, teamBudgets }: Pick<InTransaction, 'budgetRequests' | 'teamBudgets'>,
  teamId: string,
  { period, setBy, limit }: { period: BudgetPeriod; setBy: PoolSetBy; limit: Limit | null },
): Promise<void> {
  const isInstallations = setBy === 'admin'
  await budgetRequests.endRaises({ teamId, userId: null, book: 'team', period, isInstallations })
  if (limit === null) return teamBudgets.deletePoolLimit(teamId, period, setBy)
  await teamBudgets.putPoolLimit(teamId, { period, setBy, ...limit })
}

/** @returns null where none is named. @throws AppError not_found. */
async function memberIn(
  { teamMembers }: Pick<InTransaction, 'teamMembers'>,
  teamId: string,
  username: string | null,
): Promise<string | null> {
  if (username === null) return null
  const member = await teamMembers.find(teamId, username.trim().toLowerCase())
  if (member === undefined) throw memberNotFound()
  return member.userId
}

function refuseMembers({ authority }: HeldTeam): void {
  if (!mayAdmit(authority, 'member')) throw teamRoleTooSmall('member', 'admin')
}

type ShownBudgets = {
  team: { id: string }
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
