/**
 * Writes into the embedded database until it is killed: a row each time, as a send writes them, with
 * its checksum, and a sum over all in the same transaction. First prints what it finds, then each
 * row's number once it is acknowledged.
 *
 * Arguments: the data folder, and the durability.
 */

import { createHash, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Durability } from '../../../src/database/log-flush.ts'
import { openDatabase } from '../../../src/database/open.ts'
import type { Schema } from '../../../src/database/schema.ts'

const [, , dataDir = '', durability] = process.argv
const database = await openDatabase({ dataDir, durability: durability as Durability })
const { db } = database
await sql`
  create table if not exists written (n bigint primary key, content bytea, sha256 bytea);
  create table if not exists sums (one int primary key, n bigint, count bigint);
  insert into sums values (1, 0, 0) on conflict do nothing`.execute(db)

type Found = { last: string; count: string; broken: string; kept: boolean }

/** Whether the rows, their checksums and the sum over them agree, through the index and without. */
async function look(): Promise<Found> {
  const { rows } = await sql<Found>`
    select
      coalesce(max(n), 0)::text as last, count(*)::text as count,
      (count(*) filter (where sha256(content) <> sha256))::text as broken,
      bool_and((select count(*) from written as again where again.n = written.n) = 1)
        is not false and count(*) = (select count from sums) and coalesce(max(n), 0) = (select n from sums)
        as kept
    from written`.execute(db)
  return rows[0] as Found
}

let next = Number((await look()).last)
process.stdout.write(`${JSON.stringify({ ...(await look()), recovery: database.recovery })}\n`)

async function write(n: number, trx: Kysely<Schema>): Promise<void> {
  const content = randomBytes(100 + Math.floor(Math.random() * 4000))
  const sha256 = createHash('sha256').update(content).digest()
  await sql`insert into written values (${n}, ${content}, ${sha256})`.execute(trx)
  await sql`update sums set n = greatest(n, ${n}), count = count + 1`.execute(trx)
}

async function keepWriting(): Promise<never> {
  for (;;) {
    const n = ++next
    await db.transaction().execute((trx) => write(n, trx))
    process.stdout.write(`${n}\n`)
    if (n % 100 === 0) await sql`checkpoint`.execute(db)
  }
}

await Promise.all(Array.from({ length: 4 }, keepWriting))
