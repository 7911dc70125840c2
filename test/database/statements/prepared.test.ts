import { type Kysely, sql } from 'kysely'
import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/database/open.ts'
import type { Schema } from '../../../src/database/schema.ts'
import { prepare } from '../../../src/database/statements/prepared.ts'
import { describeDatabases, freshDatabaseOptions } from '../../support/databases.ts'

const ONE_ROW = 'plan_of_a_small_table'
const findOne = prepare<{ id: number }, { id: number }>(
  ONE_ROW,
  (value) => `select id from grown where id = ${value('id', 'integer')}`,
)

/** Of the session that `db` is bound to: as it is kept under the statement's name. */
async function keptPlan(db: Kysely<Schema>): Promise<string> {
  const { rows } = await sql<
    Record<string, string>
  >`${sql.raw(`explain execute ${ONE_ROW}(1)`)}`.execute(db)
  return rows.flatMap((row) => Object.values(row)).join('\n')
}

describeDatabases('prepared statements', (kind) => {
  test('a plan that was made of a small table is not kept while the table grows', async () => {
    const fresh = await freshDatabaseOptions(kind)
    const database = await openDatabase(fresh)
    await database.db.connection().execute(async (db) => {
      // Temporary: autovacuum, which would have the plan made again, never sees it.
      await sql`create temp table grown (id integer primary key)`.execute(db)
      await sql`insert into grown select generate_series(1, 5)`.execute(db)
      await sql`analyze grown`.execute(db)
      await findOne(db, { id: 1 })
      expect(await keptPlan(db)).toContain('Seq Scan')
      await sql`insert into grown select generate_series(6, 20000)`.execute(db)
      expect(await keptPlan(db)).toContain('Seq Scan')
      for (let run = 0; run < 500; run++) await findOne(db, { id: run + 1 })
      expect(await keptPlan(db)).toMatch(/Index (Only )?Scan/)
    })
    await database.close()
    await fresh.drop()
  })
})
