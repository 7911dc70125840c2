/** Grants or denies requests for a higher limit, each once. */

import { nextStart, periodsAt } from '../../../repositories/billing/periods.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import type { OpenRequest } from '../../../repositories/teams/budget-requests.ts'
import {
  type AdminActor,
  adminAuditActor,
  type InstallationRoles,
} from '../../access/installation-roles.ts'
import type { AuditDetail, AuditLog } from '../../audit/audit-log.ts'
import { holdTeam, personOf, recordInTeam, type TeamActor } from '../../teams/team-authority.ts'
import { teamRoleTooSmall } from '../../teams/team-errors.ts'
import { mayAdmit } from '../../teams/team-roles.ts'
import { type Book, tightest } from '../books/book.ts'
import { booksOfTeam } from '../books/books-of-team.ts'
import type { Budgets } from '../budgets.ts'
import { aboveInstallation, decidesOwn, noRaise, requestNotFound } from './request-errors.ts'

type Needed =
  | 'auditEvents'
  | 'authority'
  | 'budgetRequests'
  | 'budgets'
  | 'teamBooks'
  | 'teamMembers'
  | 'teams'
  | 'users'
type Deps = {
  repositories: Pick<Repositories, 'budgetRequests'>
  transact: Transact<Needed>
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  budgets: Budgets
}

/** `nanoUsd`: the limit to grant; left out: what was asked for. */
export type Decision = { isApproved: boolean; nanoUsd?: bigint | undefined }

type Decided = { request: OpenRequest; granted: bigint | null; until: Date }

export class RequestDecisions {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Decides a request of a member. Granted, it raises their part, or the pool, until the period is
   * over.
   *
   * @param team an id or a name.
   * @throws AppError not_found for the team and the request, also when it is decided already;
   *   forbidden unless the actor manages the team, for one's own unless one owns it, and for more than
   *   the installation allows the team;
   *   invalid_input for an amount that is no raise; unauthenticated, insufficient_scope.
   */
  async decideInTeam(
    actor: TeamActor,
    team: string,
    id: string,
    decision: Decision,
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      const held = await holdTeam(repositories, actor, team)
      if (!mayAdmit(held.authority, 'member')) throw teamRoleTooSmall(held.authority, 'admin')
      const decidedAs = held.authority === 'installation' ? 'installation' : 'team'
      const decidedBy = personOf(actor)?.userId ?? null
      const decided = await this.#decide(repositories, id, held.id, {
        ...{ ...decision, decidedAs, decidedBy },
      })
      // Owners could set their own part as well.
      const isOwn = decided.request.userId === decidedBy
      if (isOwn && held.authority !== 'owner') throw decidesOwn()
      await recordInTeam(this.#deps.audit, repositories, actor, {
        ...eventOf(decided),
        teamId: held.id,
      })
    })
  }

  /**
   * Decides a request about a user's own limit, for admins of the installation.
   *
   * @throws AppError not_found, also when it is decided already; forbidden, also for one's own;
   *   invalid_input for an amount that is no raise; proof_required, unauthenticated.
   */
  async decide(actor: AdminActor, id: string, decision: Decision): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, actor)
      const decidedBy = actor === 'operator' ? null : actor.userId
      const decided = await this.#decide(repositories, id, null, {
        ...{ ...decision, decidedAs: 'installation', decidedBy },
      })
      if (decided.request.userId === decidedBy) throw decidesOwn()
      await this.#deps.audit.record(repositories, {
        ...eventOf(decided),
        actor: adminAuditActor(actor),
      })
    })
  }

  /** For the operator, about any open request. @throws AppError not_found, invalid_input. */
  async decideAny(id: string, decision: Decision): Promise<void> {
    const request = await this.#deps.repositories.budgetRequests.findOpen(id)
    if (request === undefined) throw requestNotFound()
    const { teamId } = request
    return teamId === null
      ? this.decide('operator', id, decision)
      : this.decideInTeam('operator', teamId, id, decision)
  }

  async #decide(
    repositories: Pick<InTransaction, Needed>,
    id: string,
    teamId: string | null,
    {
      isApproved,
      nanoUsd,
      ...by
    }: Decision & { decidedAs: 'team' | 'installation'; decidedBy: string | null },
  ): Promise<Decided> {
    const { budgetRequests } = repositories
    const request = await budgetRequests.findOpen(id)
    if (request === undefined || request.teamId !== teamId) throw requestNotFound()
    const now = new Date()
    const until = nextStart(request.period, now)
    const granted = isApproved ? (nanoUsd ?? request.wantedNanoUsd) : null
    if (granted !== null) {
      refuseNoRaise(await this.#booksOf(repositories, request, now), granted, by.decidedAs)
    }
    const state = isApproved ? 'approved' : 'denied'
    const decision = { state, ...by, grantedNanoUsd: granted, until } as const
    if (!(await budgetRequests.decide(id, decision))) throw requestNotFound()
    return { request, granted, until }
  }

  /** The limits that the request is about. */
  async #booksOf(
    { budgets, teamBooks }: Pick<InTransaction, Needed>,
    { userId, teamId, book, period }: OpenRequest,
    now: Date,
  ): Promise<Book[]> {
    const periods = periodsAt(now)
    if (teamId !== null) {
      const [team] = await teamBooks.list(userId, periods, teamId)
      const books = team === undefined ? [] : booksOfTeam(team, userId, now)
      return books.filter((one) => one.kind === book && one.period === period)
    }
    const stored = await budgets.listLimits(userId)
    const spending = await budgets.findSpending(userId, periods)
    return this.#deps.budgets
      .books(stored, spending, now)
      .filter((one) => one.setBy !== 'user' && one.period === period)
  }
}

function refuseNoRaise(
  books: readonly Book[],
  granted: bigint,
  decidedAs: 'team' | 'installation',
): void {
  const beyond = books.find(({ kind, setBy }) => kind === 'team' && setBy === 'admin')
  const most = beyond?.limit.nanoUsd ?? null
  if (beyond && most !== null && decidedAs === 'team' && granted > most) {
    throw aboveInstallation(beyond.period, most)
  }
  const book = tightest(books)
  if (book?.limit.nanoUsd != null && granted <= book.limit.nanoUsd) {
    throw noRaise(book.period, book.limit.nanoUsd)
  }
}

function eventOf({ request, granted, until }: Decided) {
  const { id, userId, book, period, wantedNanoUsd } = request
  const detail: AuditDetail = {
    ...{ request: id, book, period, approved: granted !== null, wanted: String(wantedNanoUsd) },
    ...(granted !== null && { nanoUsd: String(granted), until: until.toISOString() }),
  }
  return { action: 'budget.decided', target: { kind: 'user', id: userId }, detail }
}
