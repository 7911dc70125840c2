/**
 * Budgets that outlive their account: a user who deletes it and registers again, with the same name
 * or address, keeps the spending of the current periods and the limits that an admin had set.
 */

import { newId } from '../../crypto/random.ts'
import type {
  FormerAccount,
  StoredAdminLimit,
} from '../../repositories/accounts/former-accounts.ts'
import type { StoredLimit } from '../../repositories/billing/budgets.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
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
    const of = (period: 'day' | 'month') => spending.find((row) => row.period === period)
    const account = {
      person: newId(),
      ...periods,
      dayNanoUsd: of('day')?.spentNanoUsd ?? '0',
      dayTokens: of('day')?.spentTokens ?? '0',
      monthNanoUsd: of('month')?.spentNanoUsd ?? '0',
      monthTokens: of('month')?.spentTokens ?? '0',
      adminLimits: limits.filter(({ setBy }) => setBy === 'admin').map(toAdminLimit),
    }
    const hashes = isWorthKeeping(account) ? await this.#hashes(repositories, names) : []
    await formerAccounts.put(userId, hashes, account)
  }

  /** Part of the registration's transaction, after the user was inserted. */
  async restore(repositories: InTransaction, userId: string, names: Names): Promise<void> {
    const { budgets, formerAccounts } = repositories
    const found = await formerAccounts.take(await this.#hashes(repositories, names), userId)
    const { day, month } = periodsAt(new Date())
    const today = found.filter((account) => account.day === day)
    const thisMonth = found.filter((account) => account.month === month)
    if (today.length > 0) {
      const nanoUsd = sum(today, 'dayNanoUsd')
      await formerAccounts.carry(userId, 'day', day, { nanoUsd, tokens: sum(today, 'dayTokens') })
    }
    if (thisMonth.length > 0) {
      const spent = {
        nanoUsd: sum(thisMonth, 'monthNanoUsd'),
        tokens: sum(thisMonth, 'monthTokens'),
      }
      await formerAccounts.carry(userId, 'month', month, spent)
    }
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

const toAdminLimit = ({ period, limitNanoUsd, limitTokens }: StoredLimit): StoredAdminLimit => ({
  period,
  limitNanoUsd,
  limitTokens,
})

/** False for an account without usage this month and without a limit of an admin's. */
const isWorthKeeping = ({ monthTokens, adminLimits }: FormerAccount): boolean =>
  monthTokens !== '0' || adminLimits.length > 0

type Sum = 'dayNanoUsd' | 'dayTokens' | 'monthNanoUsd' | 'monthTokens'

const sum = (accounts: readonly FormerAccount[], field: Sum): string =>
  String(accounts.reduce((total, account) => total + BigInt(account[field]), 0n))

/** Merges the limits of several accounts: per period the lower limit of each kind. */
function strictest(limits: readonly StoredAdminLimit[]): StoredAdminLimit[] {
  const byPeriod = new Map<string, StoredAdminLimit>()
  for (const limit of limits) {
    const other = byPeriod.get(limit.period)
    byPeriod.set(limit.period, {
      period: limit.period,
      limitNanoUsd: lower(limit.limitNanoUsd, other?.limitNanoUsd ?? null),
      limitTokens: lower(limit.limitTokens, other?.limitTokens ?? null),
    })
  }
  return [...byPeriod.values()]
}

function lower(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b
  return BigInt(a) < BigInt(b) ? a : b
}
