/** One part of a migration: whole or not at all, and tried again while others are in its way. */

import { type Kysely, sql } from 'kysely'
import { type MigrationPart, statementsIn, wordsIn } from './migration-files.ts'
import type { DatabaseKind } from './open.ts'
import type { Patience } from './patience.ts'
import { LIFT_LIMITS } from './postgresql.ts'
import { holdersOf, type LockHolder, lockTables, tablesNamed } from './table-locks.ts'

type Place<S> = { connection: Kysely<S>; kind: DatabaseKind; patience: Patience }
type Part = MigrationPart & { name: string }

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5_000

/**
 * @param record notes that the part is done, in its transaction if it has one.
 * @throws what the statement threw, or AppError database_unavailable when patience ends.
 */
export async function applyPart<S>(
  place: Place<S>,
  part: Part,
  record: (db: Kysely<S>) => Promise<void>,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      if (part.inTransaction || place.kind === 'embedded') await applyWhole(place, part, record)
      else await buildIndexes(place, part, record)
      return
    } catch (error) {
      if (!isInTheWay(error)) throw error
      await untilOutOfTheWay(place, part, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt))
    }
  }
}

/** On the embedded database nobody else is there to be kept waiting. */
async function applyWhole<S>(
  { connection, kind }: Place<S>,
  { text }: Part,
  record: (db: Kysely<S>) => Promise<void>,
): Promise<void> {
  await connection.transaction().execute(async (trx) => {
    if (kind === 'postgresql') await lockTables(trx, await tablesNamed(trx, wordsIn(text)))
    await sql.raw(kind === 'embedded' ? text.replace(/\bconcurrently\b/g, '') : text).execute(trx)
    await record(trx)
  })
}

/**
 * Statement by statement, each of which may be repeated. They hold nobody up, and so may wait
 * themselves: `concurrently` ends when every transaction has ended that was there at its beginning.
 */
async function buildIndexes<S>(
  { connection }: Place<S>,
  { text }: Part,
  record: (db: Kysely<S>) => Promise<void>,
): Promise<void> {
  await sql.raw(LIFT_LIMITS).execute(connection)
  for (const statement of statementsIn(text)) {
    const index = /^create (?:unique )?index concurrently (\w+)/.exec(statement)?.[1]
    if (index !== undefined && (await isBuilt(connection, index))) continue
    await sql.raw(statement).execute(connection)
  }
  await record(connection)
}

/** An earlier attempt that failed has left an invalid one, which is removed. */
async function isBuilt<S>(connection: Kysely<S>, index: string): Promise<boolean> {
  const { rows } = await sql<{ valid: boolean }>`
    select indisvalid as valid from pg_index where indexrelid = to_regclass(${index})`.execute(
    connection,
  )
  if (rows[0]?.valid === false) {
    await sql`drop index concurrently ${sql.table(index)}`.execute(connection)
  }
  return rows[0]?.valid === true
}

/** At least the pause, and until every transaction has ended that has one of the tables now. */
async function untilOutOfTheWay<S>(
  { connection, patience }: Place<S>,
  { name, text }: Part,
  pauseMs: number,
): Promise<void> {
  const tables = await tablesNamed(connection, wordsIn(text))
  const first = await holdersOf(connection, tables)
  const before = new Set(first.map(({ transaction }) => transaction))
  let holders = first
  do {
    await patience.wait(pauseMs, `${name} needs ${tables.join(', ')}${heldBy(holders)}`)
    const now = await holdersOf(connection, tables)
    holders = now.filter(({ transaction }) => before.has(transaction))
  } while (holders.length > 0)
}

const heldBy = (holders: readonly LockHolder[]) =>
  holders
    .map(({ pid, program, tables }) => `; process ${pid} (${program}) has ${tables.join(', ')}`)
    .join('')

/** lock_not_available, deadlock_detected, serialization_failure; however the error is wrapped. */
function isInTheWay(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  return [code, cause?.code].some((one) => ['55P03', '40P01', '40001'].includes(String(one)))
}
