/** Inserts numbers from 1 on, and prints each once it is committed, until it is killed. */

import { sql } from 'kysely'
import { openDatabase } from '../../../src/database/open.ts'

const { db } = await openDatabase({ dataDir: process.argv[2] ?? '' })
await sql`create table if not exists numbers (n int)`.execute(db)
for (let n = 1; ; n++) {
  await db.transaction().execute((trx) => sql`insert into numbers values (${n})`.execute(trx))
  process.stdout.write(`${n}\n`)
}
