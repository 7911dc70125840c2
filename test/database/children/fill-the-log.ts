/**
 * Another program fills the disk of the embedded database at once, while its log is written.
 * Arguments: the data folder, alone on a small disk, and how much is logged then, in kilobytes.
 *
 * Prints, beside what the database ended with if it did, a line each for the statement that was under way, for the next one that writes, and for one
 * after there is room again: `done`, or the code of its error.
 */

import { randomBytes } from 'node:crypto'
import { statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RawBuilder, sql } from 'kysely'
import { openDatabase } from '../../../src/database/open.ts'
import { AppError } from '../../../src/errors.ts'

const [, , dataDir = '', kilobytes] = process.argv
const onEnd = (error: unknown) => process.stdout.write(`ended: ${(error as Error).message}\n`)
const database = await openDatabase({ dataDir, onEnd })

async function outcomeOf(statement: RawBuilder<unknown>): Promise<string> {
  try {
    await statement.execute(database.db)
    return 'done'
  } catch (error) {
    return error instanceof AppError ? error.code : String(error)
  }
}

await sql`create table numbers (n int); insert into numbers values (1)`.execute(database.db)
const filler = join(dataDir, 'filler')
const { bavail, bsize } = statfsSync(dataDir)
writeFileSync(filler, randomBytes(bavail * bsize))
const logged = sql`
  select pg_logical_emit_message(true, '', repeat('x', 1024))
  from generate_series(1, ${Number(kilobytes)}::int)`
process.stdout.write(`${await outcomeOf(logged)}\n`)
process.stdout.write(`${await outcomeOf(sql`insert into numbers values (2)`)}\n`)
truncateSync(filler)
await new Promise((resolve) => setTimeout(resolve, 200))
process.stdout.write(`${await outcomeOf(sql`insert into numbers values (3)`)}\n`)
await database.close()
