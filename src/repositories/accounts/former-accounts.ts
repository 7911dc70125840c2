import { type Kysely, sql } from 'kysely'
import type { Schema, StoredAdminLimit } from '../../database/schema.ts'
import {
  type Amount,
  type BudgetPeriod,
  type Covers,
  type Limit,
  type PayingPeriods,
  toBigInt,
  toText,
} from '../billing/budgets.ts'

export type AdminLimit = Limit & { period: BudgetPeriod; covers: Covers }

/** The budgets that are kept of a deleted account: what it spent in its last day and month. */
export type FormerAccount = PayingPeriods & {
  person: string
  spent: Record<BudgetPeriod, Amount>
  adminLimits: AdminLimit[]
}

/** The spending of deleted accounts, by hashes of their names. */
export class FormerAccountRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** The wrapped key of the hashes; `made` is stored if there is none yet. */
  async nameKey(made: Buffer): Promise<Buffer> {
    const insert = this.#db.insertInto('nameKeys').values({ id: 1, dataKey: made })
    await insert.onConflict((conflict) => conflict.doNothing()).execute()
    const { dataKey } = await this.#db
      .selectFrom('nameKeys')
      .select('dataKey')
      .executeTakeFirstOrThrow()
    return dataKey
  }

  /** Returns each account with one of the names; all its names then belong to the user. */
  async take(nameHashes: readonly Buffer[], userId: string): Promise<FormerAccount[]> {
    const found = this.#db
      .selectFrom('formerAccounts')
      .select('person')
      .where('nameHash', 'in', nameHashes)
    const rows = await this.#db
      .updateTable('formerAccounts')
      .set({ heldBy: userId })
      .where('person', 'in', found)
      .returning([
        'person',
        'day',
        'dayNanoUsd',
        'dayTokens',
        'month',
        'monthNanoUsd',
        'monthTokens',
        'adminLimits',
      ])
      .execute()
    return [...new Map(rows.map((row) => [row.person, toFormerAccount(row)])).values()]
  }

  /** Stores it under the names (if any) and those that the user had taken, as one person. */
  async put(userId: string, nameHashes: readonly Buffer[], account: FormerAccount): Promise<void> {
    const row = { ...toRow(account), heldBy: null }
    await this.#db.updateTable('formerAccounts').set(row).where('heldBy', '=', userId).execute()
    if (nameHashes.length === 0) return
    await this.#db
      .insertInto('formerAccounts')
      .values(nameHashes.map((nameHash) => ({ nameHash, ...row })))
      .onConflict((conflict) => conflict.column('nameHash').doUpdateSet(row))
      .execute()
  }

  /** Adds an earlier account's spending to the user's for the same day or month. */
  async carry(userId: string, period: BudgetPeriod, startsOn: string, spent: Amount) {
    const [nanoUsd, tokens] = [String(spent.nanoUsd), String(spent.tokens)]
    const row = { userId, period, startsOn, spentNanoUsd: nanoUsd, spentTokens: tokens }
    await this.#db
      .insertInto('spending')
      .values({ ...row, carriedNanoUsd: nanoUsd, carriedTokens: tokens })
      .execute()
  }

  /** Deletes those of earlier months without an admin's limit, which no longer have an effect. */
  async deleteOver(): Promise<void> {
    await this.#db
      .deleteFrom('formerAccounts')
      .where('month', '<', sql<string>`date_trunc('month', now() at time zone 'utc')::date`)
      .where(sql<boolean>`admin_limits = '[]'::jsonb`)
      .execute()
  }
}

type Row = Omit<FormerAccount, 'spent' | 'adminLimits'> &
  Record<'dayNanoUsd' | 'dayTokens' | 'monthNanoUsd' | 'monthTokens', string> & {
    adminLimits: StoredAdminLimit[]
  }

const toFormerAccount = ({ person, day, month, adminLimits, ...row }: Row): FormerAccount => ({
  person,
  day,
  month,
  spent: {
    day: { nanoUsd: BigInt(row.dayNanoUsd), tokens: Number(row.dayTokens) },
    month: { nanoUsd: BigInt(row.monthNanoUsd), tokens: Number(row.monthTokens) },
  },
  adminLimits: adminLimits.map(({ period, covers = 'own_key', limitNanoUsd, limitTokens }) => ({
    period,
    covers,
    nanoUsd: toBigInt(limitNanoUsd),
    tokens: limitTokens === null ? null : Number(limitTokens),
  })),
})

function toRow({ person, day, month, spent, adminLimits }: FormerAccount) {
  const limits: StoredAdminLimit[] = adminLimits.map(({ period, covers, nanoUsd, tokens }) => ({
    period,
    covers,
    limitNanoUsd: toText(nanoUsd),
    limitTokens: toText(tokens),
  }))
  return {
    person,
    day,
    month,
    dayNanoUsd: String(spent.day.nanoUsd),
    dayTokens: String(spent.day.tokens),
    monthNanoUsd: String(spent.month.nanoUsd),
    monthTokens: String(spent.month.tokens),
    adminLimits: JSON.stringify(limits),
  }
}
