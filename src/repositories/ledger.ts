import type { Insertable, Kysely } from 'kysely'
import type { LedgerTable, Schema } from '../database/schema.ts'

export type NewLedgerRow = Omit<Insertable<LedgerTable>, 'unitPrices'> & {
  unitPrices: object | null
}

/** Append-only: nothing here updates or deletes. */
export class LedgerRepository {
  readonly #db: Kysely<Schema>

  constructor(db: Kysely<Schema>) {
    this.#db = db
  }

  /** Does nothing when the answer is booked already. */
  async insert(row: NewLedgerRow): Promise<void> {
    await this.#db
      .insertInto('ledger')
      .values({
        ...row,
        unitPrices: row.unitPrices === null ? null : JSON.stringify(row.unitPrices),
      })
      .onConflict((conflict) => conflict.column('messageId').doNothing())
      .execute()
  }
}
