/**
 * Writes into the embedded database until it is killed: a row each time, as a send writes them, with
 * its checksum, and a sum over all in the same transaction. First prints what it finds, then each
 * row's number, and when, once it is acknowledged.
 *
 * Arguments: the data folder, and the durability.
 */

import { createHash, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Durability } from '../../../src/database/embedded/durability/log-flush.ts'
import { openDatabase } from '../../../src/database/open.ts'
import type { Schema } from '../../../src/database/schema.ts'

const [, , dataDir = '', durability] = process.argv
const database = await openDatabase({ dataDir, durability: durability as Durability })
const { db } = database
await sql`
  create table if not exists written (n bigint primary key, content bytea, sha256 bytea);
  create table if not exists sums (one int primary key, n bigint, count bigint);
  insert into sums values (1, 0, 0) on conflict do nothing`.execute(db)

type Found = { numbers: number[]; broken: number; agree: boolean }

/** Whether the rows, their checksums and the sum over them agree, through the index and without. */
async function look(): Promise<Found> {
  const { rows } = await sql<Found>`
    select
      coalesce(json_agg(n order by n), '[]') as numbers,
      (count(*) filter (where sha256(content) <> sha256))::int as broken,
      count(*) = (select count from sums) and coalesce(max(n), 0) = (select n from sums) as agree
    from written`.execute(db)
  const { rows: indexed } = await sql<{ n: string }>`
    select n from generate_series(1, (select coalesce(max(n), 0) from written)) as n
    where exists (select from written where written.n = n.n)`.execute(db)
  const found = rows[0] as Found
  return { ...found, agree: found.agree && indexed.length === found.numbers.length }
}

const found = await look()
let next = found.numbers.at(-1) ?? 0
process.stdout.write(`${JSON.stringify({ ...found, recovery: database.recovery })}\n`)

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
    process.stdout.write(`${n} ${Date.now()}\n`)
    if (n % 25 === 0) await sql`checkpoint`.execute(db)
  }
}

await Promise.all(Array.from({ length: 4 }, keepWriting))
