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

  async insert(row: NewLedgerRow): Promise<void> {
    await this.#db
      .insertInto('ledger')
      .values({
        ...row,
        unitPrices: row.unitPrices === null ? null : JSON.stringify(row.unitPrices),
      })
      .execute()
  }
}
