/** Applies one part of a migration atomically, and retries it while others hold its locks. */

import { type Kysely, sql } from 'kysely'
import type { DatabaseKind } from '../open.ts'
import type { Patience } from '../patience.ts'
import { LIFT_LIMITS } from '../postgresql/dialect.ts'
import { type MigrationPart, statementsIn, wordsIn } from './migration-files.ts'
import { holdersOf, type LockHolder, lockTables, tablesNamed } from './table-locks.ts'

type Place<S> = { connection: Kysely<S>; kind: DatabaseKind; patience: Patience }
type Part = MigrationPart & { name: string }

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5_000

/**
 * @param record records that the part is done, in its transaction if it has one.
 * @throws what the statement threw, or AppError database_unavailable when the time runs out.
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

/** The embedded database needs no locks: it has a single session. */
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
 * Runs statement by statement; each may be repeated. They block no one, so they run without time
 * limits: `concurrently` waits for every transaction that was open when it began.
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

/** Drops the invalid index that a failed attempt leaves. */
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

/** Waits at least the pause, and until all transactions that now hold one of the tables end. */
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
