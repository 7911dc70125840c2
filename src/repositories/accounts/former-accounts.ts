import { type Kysely, sql } from 'kysely'
import type { Schema, StoredAdminLimit } from '../../database/schema.ts'
import type { PayingPeriods } from '../billing/budgets.ts'

export type { StoredAdminLimit }

/** The budgets that are kept of a deleted account; decimal text, since it is 64 bits wide. */
export type FormerBudgets = PayingPeriods & {
  dayNanoUsd: string
  dayTokens: string
  monthNanoUsd: string
  monthTokens: string
  adminLimits: StoredAdminLimit[]
}

export type FormerAccount = FormerBudgets & { person: string }

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
    return [...new Map(rows.map((row) => [row.person, row])).values()]
  }

  /** Stores it under the names (if any) and those that the user had taken, as one person. */
  async put(
    userId: string,
    nameHashes: readonly Buffer[],
    { adminLimits, ...spent }: FormerAccount,
  ): Promise<void> {
    const row = { ...spent, heldBy: null, adminLimits: JSON.stringify(adminLimits) }
    await this.#db.updateTable('formerAccounts').set(row).where('heldBy', '=', userId).execute()
    if (nameHashes.length === 0) return
    await this.#db
      .insertInto('formerAccounts')
      .values(nameHashes.map((nameHash) => ({ nameHash, ...row })))
      .onConflict((conflict) => conflict.column('nameHash').doUpdateSet(row))
      .execute()
  }

  /** Adds an earlier account's spending to the user's for the same day or month. */
  async carry(userId: string, period: 'day' | 'month', startsOn: string, spent: Carried) {
    const { nanoUsd, tokens } = spent
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

type Carried = { nanoUsd: string; tokens: string }
