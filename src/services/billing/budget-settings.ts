/** Reads and changes budgets: the caller's own, and for an admin any user's. */

import { AppError } from '../../errors.ts'
import type { BudgetPeriod } from '../../repositories/billing/budgets.ts'
import type { Repositories, Transact } from '../../repositories/index.ts'
import { holdSession } from '../access/authority.ts'
import type { Caller } from '../access/caller.ts'
import type { Budgets, Limit, LimitSource } from './budgets.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgets' | 'users'>
  transact: Transact
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
   * Sets (null: removes) a limit. With a username an admin replaces the default for that user;
   * without one, users set their own cap, which applies where it is lower.
   *
   * @throws AppError forbidden, not_found, unauthenticated.
   */
  async set(
    caller: Caller,
    username: string | undefined,
    period: BudgetPeriod,
    limit: Limit | null,
  ): Promise<void> {
    const userId = await this.#whose(caller, username)
    const setBy = username === undefined ? 'user' : 'admin'
    await this.#deps.transact(async ({ authority, budgets }) => {
      await holdSession({ authority }, caller, ['account'])
      await store(budgets, { userId, period, setBy, limit })
    })
  }

  /** For the operator, without a caller. @throws AppError not_found. */
  async setForUser(username: string, period: BudgetPeriod, limit: Limit | null): Promise<void> {
    const userId = await this.#find(username)
    await store(this.#deps.repositories.budgets, { userId, period, setBy: 'admin', limit })
  }

  /** For the operator. @throws AppError not_found. */
  async showForUser(username: string) {
    const userId = await this.#find(username)
    return this.#deps.budgets.status(this.#deps.repositories, userId, new Date())
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
    if (user) return user.id
    throw new AppError('not_found', 'There is no user with this name.', {
      details: { field: 'username' },
    })
  }
}

type NewLimit = {
  userId: string
  period: BudgetPeriod
  setBy: 'admin' | 'user'
  limit: Limit | null
}

async function store(
  budgets: Repositories['budgets'],
  { userId, period, setBy, limit }: NewLimit,
): Promise<void> {
  if (limit === null) return budgets.deleteLimit(userId, period, setBy)
  await budgets.putLimit(userId, {
    period,
    setBy,
    limitNanoUsd: limit.nanoUsd === null ? null : String(limit.nanoUsd),
    limitTokens: limit.tokens === null ? null : String(limit.tokens),
  })
}
