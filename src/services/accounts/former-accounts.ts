/**
 * Budgets that outlive their account: a user who deletes it and registers again, with the same name
 * or address, keeps the spending of the current periods and the limits that an admin had set.
 */

import { newId } from '../../crypto/random.ts'
import type { AdminLimit, FormerAccount } from '../../repositories/accounts/former-accounts.ts'
import type { Amount, BudgetPeriod, StoredLimit } from '../../repositories/billing/budgets.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
import { lower } from '../billing/books/limit.ts'
import type { Vault } from '../keys/vault.ts'

type Deps = { vault: Vault }

/** In lower case. */
export type Names = { usernameKey: string; emailKey: string }

type InTransaction = Pick<Repositories, 'budgets' | 'formerAccounts'>

export class FormerAccounts {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Part of the deletion's transaction, once no answer of the user's is running. */
  async remember(repositories: InTransaction, userId: string, names: Names): Promise<void> {
    const { budgets, formerAccounts } = repositories
    const periods = periodsAt(new Date())
    const limits = await budgets.listLimits(userId)
    const spending = await budgets.findSpending(userId, periods)
    const adminLimits = limits.filter(({ setBy }) => setBy === 'admin').map(toAdminLimit)
    const spentIn = (wanted: BudgetPeriod) => {
      const { spent = NOTHING, ofTeams } = spending.find(({ period }) => period === wanted) ?? {}
      const isOfAll = adminLimits.some(
        (one) => one.period === wanted && one.covers === 'everything',
      )
      return isOfAll && ofTeams ? add(spent, ofTeams.spent) : spent
    }
    const account = {
      person: newId(),
      ...periods,
      spent: { day: spentIn('day'), month: spentIn('month') },
      adminLimits,
    }
    const hashes = isWorthKeeping(account) ? await this.#hashes(repositories, names) : []
    await formerAccounts.put(userId, hashes, account)
  }

  /** Part of the registration's transaction, after the user was inserted. */
  async restore(repositories: InTransaction, userId: string, names: Names): Promise<void> {
    const { budgets, formerAccounts } = repositories
    const found = await formerAccounts.take(await this.#hashes(repositories, names), userId)
    const { day, month } = periodsAt(new Date())
    const carry = async (period: BudgetPeriod, startsOn: string) => {
      const spent = found.flatMap((account) =>
        account[period] === startsOn ? [account.spent[period]] : [],
      )
      if (spent.length > 0) {
        await formerAccounts.carry(userId, period, startsOn, spent.reduce(add, NOTHING))
      }
    }
    await carry('day', day)
    await carry('month', month)
    for (const limit of strictest(found.flatMap(({ adminLimits }) => adminLimits))) {
      await budgets.putLimit(userId, { ...limit, setBy: 'admin' })
    }
  }

  async #hashes({ formerAccounts }: InTransaction, names: Names): Promise<Buffer[]> {
    const { vault } = this.#deps
    const key = vault.openNameKey(await formerAccounts.nameKey(vault.createNameKey()))
    return [key.usernameHash(names.usernameKey), key.emailHash(names.emailKey)]
  }
}

const toAdminLimit = ({ period, covers, nanoUsd, tokens }: StoredLimit): AdminLimit => ({
  period,
  covers,
  nanoUsd,
  tokens,
})

const NOTHING: Amount = { nanoUsd: 0n, tokens: 0 }

const add = (a: Amount, b: Amount): Amount => ({
  nanoUsd: a.nanoUsd + b.nanoUsd,
  tokens: a.tokens + b.tokens,
})

/** False for an account without usage this month and without a limit of an admin's. */
const isWorthKeeping = ({ spent, adminLimits }: FormerAccount): boolean =>
  spent.month.tokens !== 0 || adminLimits.length > 0

/**
 * Merges the limits of several accounts: per period the lower limit of each kind, which covers
 * everything if one of them does.
 */
function strictest(limits: readonly AdminLimit[]): AdminLimit[] {
  const byPeriod = new Map<string, AdminLimit>()
  for (const limit of limits) {
    const { period } = limit
    const other = byPeriod.get(period) ?? limit
    const covers = other.covers === 'everything' ? other.covers : limit.covers
    byPeriod.set(period, { period, covers, ...lower(limit, other) })
  }
  return [...byPeriod.values()]
}
