/**
 * Requests for a higher limit: about a team's money to those who manage the team, and about the
 * user's own limit to the admins of the installation. One that is granted raises the limit for the
 * rest of its period only (decisions.ts); one that is not decided by then lapses.
 */

import { z } from 'zod'
import { newId } from '../../../crypto/random.ts'
import { nextStart, periodsAt } from '../../../repositories/billing/periods.ts'
import type { InTransaction, Repositories, Transact } from '../../../repositories/index.ts'
import type {
  NewBudgetRequest,
  OpenRequest,
  RequestedBook,
} from '../../../repositories/teams/budget-requests.ts'
import { actorOf } from '../../access/actor.ts'
import { holdSession } from '../../access/authority.ts'
import type { Caller } from '../../access/caller.ts'
import { checked } from '../../access/field-rules.ts'
import { type InstallationRoles, requireAdmin } from '../../access/installation-roles.ts'
import type { AuditLog } from '../../audit/audit-log.ts'
import type { Vault } from '../../keys/vault.ts'
import { teamArchived, teamNotFound } from '../../teams/team-errors.ts'
import { teamRef } from '../../teams/team-name.ts'
import { mayAdmit } from '../../teams/team-roles.ts'
import { type Book, tightest } from '../books/book.ts'
import { booksOfTeam } from '../books/books-of-team.ts'
import type { Budgets } from '../budgets.ts'
import {
  noRaise,
  nothingToRaise,
  requestNotFound,
  tooManyLately,
  tooManyOpen,
} from './request-errors.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgetRequests' | 'teamKeys' | 'teams' | 'users'>
  transact: Transact<
    | 'auditEvents'
    | 'authority'
    | 'budgetRequests'
    | 'budgets'
    | 'teamBooks'
    | 'teamKeys'
    | 'teamMembers'
    | 'teams'
    | 'users'
  >
  audit: Pick<AuditLog, 'record'>
  vault: Pick<Vault, 'openTeam' | 'openUser'>
  roles: InstallationRoles
  budgets: Budgets
}
type Asking = Pick<
  InTransaction,
  'budgetRequests' | 'budgets' | 'teamBooks' | 'teamKeys' | 'teamMembers' | 'teams' | 'users'
>

export type BudgetWish = {
  /** An id or a name; left out: the user's own limit. */
  team?: string | undefined
  nanoUsd: bigint
  reason: string
}

/** An open request as those see it who made it or decide it. */
export type ShownRequest = Omit<OpenRequest, 'reason'> & { reason: string }

export const MAX_REASON_CHARACTERS = 300
const MAX_OPEN_REQUESTS = 5
const MAX_REQUESTS_A_DAY = 20
const MOST_LISTED = 100
const MOST_FOR_OPERATOR = 1000
/** Names of those who can decide, in an answer. */
const MOST_NAMES = 10

const Reason = z
  .string()
  .trim()
  .min(1, 'must say why')
  .max(MAX_REASON_CHARACTERS, `must have at most ${MAX_REASON_CHARACTERS} characters`)

export class BudgetRequests {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Asks for a higher limit in the book that stops the caller first, until its period is over. Of one
   * book and period a user has one open request: what asks for the same again is that request, and
   * another amount or reason takes its place, under an id of its own, so that what was read is what is
   * decided.
   *
   * @returns `asked`: usernames of those who can grant it.
   * @throws AppError invalid_input, also where there is nothing to raise and for too many open ones;
   *   not_found, forbidden for an archived team; rate_limited, unauthenticated, insufficient_scope.
   */
  async ask(caller: Caller, wish: BudgetWish): Promise<{ id: string; asked: string[] }> {
    const reason = checked(Reason, wish.reason, 'reason')
    const id = newId()
    const now = new Date()
    return this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['teams:read'])
      await repositories.budgetRequests.lockOf(caller.userId)
      const teamId = await teamOf(repositories, caller, wish.team)
      const book = await this.#bookOf(repositories, caller, teamId, now)
      const { limit, period } = book ?? {}
      if (book === undefined || limit?.nanoUsd == null || period === undefined) {
        throw nothingToRaise(wish.team)
      }
      if (wish.nanoUsd <= limit.nanoUsd) throw noRaise(period, limit.nanoUsd)
      const { userId } = caller
      const names = await this.deciders(repositories, teamId, book)
      const asked = names.filter((name) => name !== caller.username)
      const vault = await this.#open(repositories, { teamId, userId })
      const about = { userId, teamId, period, book: bookOf(book) }
      const open = await repositories.budgetRequests.findOpenAbout(about)
      if (open && isSame(open, { wantedNanoUsd: wish.nanoUsd, reason }, vault)) {
        return { id: open.id, asked }
      }
      const replaced = await repositories.budgetRequests.withdrawAbout(about)
      await refuseTooMany(repositories, userId)
      const request: NewBudgetRequest = {
        ...{ ...about, id, wantedNanoUsd: wish.nanoUsd },
        reason: vault.sealReason(userId, id, reason),
        until: nextStart(period, now),
      }
      await repositories.budgetRequests.insert(request)
      await this.#record(repositories, caller, request, replaced)
      return { id, asked }
    })
  }

  /** Takes an open request of the caller's back. @throws AppError not_found, unauthenticated. */
  async withdraw(caller: Caller, id: string): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['teams:read'])
      const request = await repositories.budgetRequests.withdraw(id, caller.userId)
      if (request === undefined) throw requestNotFound('withdraw')
      await this.#deps.audit.record(repositories, {
        action: 'budget.request_withdrawn',
        actor: actorOf(caller),
        target: { kind: 'user', id: caller.userId },
        ...(request.teamId !== null && { teamId: request.teamId }),
        detail: { request: id },
      })
    })
  }

  /** The caller's open ones. */
  async listOwn({ userId }: Caller): Promise<ShownRequest[]> {
    return this.#shown(await this.#deps.repositories.budgetRequests.listOf(userId, MOST_LISTED))
  }

  /**
   * The open ones of a team: all of them for those who manage it, else the caller's own.
   *
   * @param team an id or a name.
   * @throws AppError not_found for a team that the caller is not in.
   */
  async listOfTeam(caller: Caller, team: string): Promise<ShownRequest[]> {
    const { budgetRequests, teams } = this.#deps.repositories
    const found = await teams.findOwn(teamRef(team), caller.userId)
    if (found === undefined) throw teamNotFound()
    const whose = mayAdmit(found.role, 'member') ? null : caller.userId
    return this.#shown(await budgetRequests.listOfTeam(found.id, whose, MOST_LISTED))
  }

  /**
   * For admins of the installation.
   *
   * @param teamId null: those about users' own limits.
   * @throws AppError forbidden.
   */
  async listForAdmin(caller: Caller, teamId: string | null): Promise<ShownRequest[]> {
    requireAdmin(caller)
    const { budgetRequests } = this.#deps.repositories
    const rows =
      teamId === null
        ? await budgetRequests.listWithoutTeam(MOST_LISTED)
        : await budgetRequests.listOfTeam(teamId, null, MOST_LISTED)
    return this.#shown(rows)
  }

  /** All of a user's that are kept, in every state. */
  async listKept(userId: string) {
    return this.#shown(await this.#deps.repositories.budgetRequests.listKept(userId))
  }

  /** All open ones, for the operator. */
  async listAll(): Promise<ShownRequest[]> {
    return this.#shown(await this.#deps.repositories.budgetRequests.listAll(MOST_FOR_OPERATOR))
  }

  /** Usernames of those who can raise a limit: of a team's own limits, those who manage it. */
  async deciders(
    { budgetRequests }: Pick<Repositories, 'budgetRequests'>,
    teamId: string | null,
    { setBy }: Pick<Book, 'setBy'>,
  ): Promise<string[]> {
    return teamId !== null && setBy === 'team'
      ? budgetRequests.listTeamDeciders(teamId, MOST_NAMES)
      : budgetRequests.listAdmins(this.#deps.roles.listed, MOST_NAMES)
  }

  /** What stops the caller first, of what others have set. */
  async #bookOf(
    { budgets, teamBooks }: Asking,
    { userId }: Caller,
    teamId: string | null,
    now: Date,
  ): Promise<Book | undefined> {
    const periods = periodsAt(now)
    if (teamId !== null) {
      const [team] = await teamBooks.list(userId, periods, teamId)
      return team && tightest(booksOfTeam(team, userId, now))
    }
    const stored = await budgets.listLimits(userId)
    const books = this.#deps.budgets.books(stored, await budgets.findSpending(userId, periods), now)
    return tightest(books.filter(({ setBy }) => setBy !== 'user'))
  }

  async #shown<Row extends OpenRequest>(rows: readonly Row[]) {
    const vaults = new Map<string, Promise<Reasons>>()
    const vaultOf = (row: OpenRequest) => {
      const owner = row.teamId ?? row.userId
      const vault = vaults.get(owner) ?? this.#open(this.#deps.repositories, row)
      vaults.set(owner, vault)
      return vault
    }
    return Promise.all(
      rows.map(async (row) => {
        const { reason, userId, id } = row
        const opened = reason && (await vaultOf(row)).openReason(userId, id, reason)
        return { ...row, reason: opened ?? '' }
      }),
    )
  }

  async #open(
    { teamKeys, users }: Pick<Repositories, 'teamKeys' | 'users'>,
    { teamId, userId }: Pick<OpenRequest, 'teamId' | 'userId'>,
  ): Promise<Reasons> {
    const { vault } = this.#deps
    return teamId === null
      ? vault.openUser(userId, await users.getDataKey(userId))
      : vault.openTeam(teamId, await teamKeys.getDataKey(teamId))
  }

  async #record(
    transaction: Pick<InTransaction, 'auditEvents'>,
    caller: Caller,
    { id, userId, teamId, book, period, wantedNanoUsd }: NewBudgetRequest,
    replaced: readonly string[],
  ): Promise<void> {
    await this.#deps.audit.record(transaction, {
      action: 'budget.requested',
      actor: actorOf(caller),
      target: { kind: 'user', id: userId },
      ...(teamId !== null && { teamId }),
      detail: {
        ...{ request: id, book, period, nanoUsd: String(wantedNanoUsd) },
        ...(replaced.length > 0 && { replaces: replaced.join(' ') }),
      },
    })
  }
}

/** What seals and opens reasons. */
type Reasons = {
  sealReason(userId: string, id: string, reason: string): Buffer
  openReason(userId: string, id: string, sealed: Buffer): string
}

const bookOf = ({ kind }: Book): RequestedBook =>
  kind === 'team' || kind === 'member' ? kind : 'user'

function isSame(
  open: OpenRequest,
  wish: { wantedNanoUsd: bigint; reason: string },
  vault: Reasons,
): boolean {
  const reason = open.reason && vault.openReason(open.userId, open.id, open.reason)
  return open.wantedNanoUsd === wish.wantedNanoUsd && reason === wish.reason
}

/** Call it once the user's requests are locked. @throws AppError invalid_input, rate_limited. */
async function refuseTooMany({ budgetRequests }: Asking, userId: string): Promise<void> {
  await budgetRequests.deleteOld(userId)
  const { open, lately } = await budgetRequests.countOf(userId)
  if (open >= MAX_OPEN_REQUESTS) throw tooManyOpen(MAX_OPEN_REQUESTS)
  if (lately >= MAX_REQUESTS_A_DAY) throw tooManyLately(MAX_REQUESTS_A_DAY)
}

/** Locks the team, so that the caller stays in it. @returns its id; null when none is named. */
async function teamOf(
  { teams, teamMembers }: Asking,
  { userId }: Caller,
  team: string | undefined,
): Promise<string | null> {
  if (team === undefined) return null
  const found = await teams.lock(teamRef(team), userId)
  // Read behind the lock: it may have changed while that was waited for.
  if (found === undefined || (await teamMembers.roleOf(found.id, userId)) === undefined) {
    throw teamNotFound()
  }
  if (found.archivedAt !== null) throw teamArchived()
  return found.id
}
