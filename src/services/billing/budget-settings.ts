/** Reads and changes budgets: the caller's own, and for an admin any user's. */

import { AppError } from '../../errors.ts'
import type { BudgetPeriod, Covers } from '../../repositories/billing/budgets.ts'
import type { InTransaction, Repositories, Transact } from '../../repositories/index.ts'
import { actorOf } from '../access/actor.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import { noSuchUser } from '../access/field-rules.ts'
import { type InstallationRoles, requireAuditor } from '../access/installation-roles.ts'
import { type AuditActor, OPERATOR } from '../audit/audit-actor.ts'
import type { AuditLog, AuditTransaction } from '../audit/audit-log.ts'
import type { Budgets, Limit, LimitSource } from './budgets.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgets' | 'users'>
  transact: Transact<'auditEvents' | 'authority' | 'budgetRequests' | 'budgets' | 'users'>
  audit: Pick<AuditLog, 'record'>
  roles: InstallationRoles
  budgets: Budgets
}

export class BudgetSettings {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** @throws AppError forbidden for another user's budget unless the caller is an admin. */
  async show(caller: Caller, username: string | undefined) {
    const userId = await this.#whose(caller, username)
    return this.#deps.budgets.status(this.#deps.repositories, userId, new Date())
  }

  /** Where the caller's limits come from. */
  async sources({ userId }: Caller): Promise<Record<BudgetPeriod, LimitSource>> {
    return this.#deps.budgets.sources(this.#deps.repositories, userId)
  }

  /**
   * Sets (null: removes) a limit. With a username an admin replaces the default for that user, and
   * what raised it; without one, users set their own cap, which applies where it is lower.
   *
   * @param covers left out: as it was; a new limit covers what the user's own key pays.
   * @throws AppError forbidden, not_found, proof_required, unauthenticated.
   */
  async set(
    caller: Caller,
    username: string | undefined,
    period: BudgetPeriod,
    limit: Limit | null,
    covers?: Covers,
  ): Promise<void> {
    if (username === undefined) return this.setOwn(caller, [{ period, limit, covers }])
    const userId = await this.#whose(caller, username)
    const wanted = { userId, period, setBy: 'admin', limit, covers } as const
    await this.#deps.transact(async (repositories) => {
      await this.#deps.roles.holdAdmin(repositories, caller)
      await store(repositories, wanted)
      await this.#record(repositories, actorOf(caller), wanted)
    })
  }

  /** The caller's own limits, all of them or none. @throws AppError unauthenticated. */
  async setOwn(
    caller: Caller,
    limits: readonly Pick<NewLimit, 'period' | 'limit' | 'covers'>[],
  ): Promise<void> {
    await this.#deps.transact(async (repositories) => {
      await holdSession(repositories, caller, ['account'])
      for (const limit of limits) {
        const wanted = { ...limit, userId: caller.userId, setBy: 'user' } as const
        await store(repositories, wanted)
        await this.#record(repositories, actorOf(caller), wanted)
      }
    })
  }

  /** For the operator, without a caller. @throws AppError not_found. */
  async setForUser(
    username: string,
    period: BudgetPeriod,
    limit: Limit | null,
    covers?: Covers,
  ): Promise<void> {
    const userId = await this.#find(username)
    const wanted = { userId, period, setBy: 'admin', limit, covers } as const
    await this.#deps.transact(async (repositories) => {
      await store(repositories, wanted)
      await this.#record(repositories, OPERATOR, wanted)
    })
  }

  /** For the operator. @throws AppError not_found. */
  async showForUser(username: string) {
    const userId = await this.#find(username)
    return this.#deps.budgets.status(this.#deps.repositories, userId, new Date())
  }

  /** Where a user's limits come from, for auditors and admins. @throws AppError forbidden, not_found. */
  async sourcesOf(caller: Caller, username: string): Promise<Record<BudgetPeriod, LimitSource>> {
    requireAuditor(caller)
    return this.#deps.budgets.sources(this.#deps.repositories, await this.#find(username))
  }

  async #record(
    transaction: AuditTransaction,
    actor: AuditActor,
    { userId, period, setBy, limit, covers }: NewLimit,
  ): Promise<void> {
    const nanoUsd = limit?.nanoUsd ?? null
    await this.#deps.audit.record(transaction, {
      action: limit === null ? 'budget.removed' : 'budget.set',
      actor,
      target: { kind: 'user', id: userId },
      detail: {
        period,
        setBy,
        nanoUsd: nanoUsd === null ? null : String(nanoUsd),
        tokens: limit?.tokens ?? null,
        ...(covers && limit && { covers }),
      },
    })
  }

  async #whose(caller: Caller, username: string | undefined): Promise<string> {
    if (username === undefined) return caller.userId
    if (!caller.isAdmin) {
      throw new AppError('forbidden', 'Only an admin may name another user. Leave username out.')
    }
    return this.#find(username)
  }

  async #find(username: string): Promise<string> {
    const user = await this.#deps.repositories.users.findByUsername(username.toLowerCase())
    if (!user) throw noSuchUser()
    return user.id
  }
}

type NewLimit = {
  userId: string
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limit: Limit | null
  covers?: Covers | undefined
}

async function store(
  { budgets, budgetRequests }: Pick<InTransaction, 'budgetRequests' | 'budgets'>,
  { userId, period, setBy, limit, covers }: NewLimit,
): Promise<void> {
  if (setBy === 'admin') {
    await budgetRequests.endRaises({ teamId: null, userId, book: 'user', period })
  }
  if (limit === null) return budgets.deleteLimit(userId, period, setBy)
  await budgets.putLimit(userId, { period, setBy, ...limit, covers })
}
