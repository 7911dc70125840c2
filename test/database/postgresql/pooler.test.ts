/** PgBouncer in front of the server: its session mode serves, transaction mode by a setting. */

import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { migrateToLatest, pendingMigrations } from '../../../src/database/migrations/migrate.ts'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import { runSql } from '../../support/database-supplies.ts'
import { type FreshDatabase, freshDatabaseOptions, hasPostgresql } from '../../support/databases.ts'
import { emptySchema } from '../../support/empty-schema.ts'
import { hasPgbouncer, startPgbouncer } from '../../support/pgbouncer.ts'
import { startApp } from '../../support/start-app.ts'

const canRun = hasPgbouncer && hasPostgresql

describe.runIf(canRun)('behind a pooler', () => {
  async function pooled(mode: 'session' | 'transaction' | 'statement', settings: string[] = []) {
    const fresh = await freshDatabaseOptions('postgresql')
    const pooler = await startPgbouncer(fresh.url as string, mode, settings)
    onTestFinished(async () => {
      await pooler.close()
      await fresh.drop()
    })
    return { ...fresh, url: pooler.url, directUrl: fresh.url as string }
  }

  test.each([
    ['transaction', []],
    // Takes the servers' sessions in turn instead of the last one first.
    ['transaction', ['server_round_robin = 1', 'min_pool_size = 5']],
    ['statement', []],
  ] as const)('that shares sessions (%s) the start says what to change', async (mode, settings) => {
    const options = await pooled(mode, [...settings])
    const error = await openDatabase(options).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'database_unavailable',
      retryable: false,
      message: expect.stringMatching(/transaction.*pool_mode=session.*DATABASE_POOLER=transaction/),
    })
  })

  test('that gives each its own the gateway serves', async () => {
    const options = await pooled('session')
    const app = await startApp({ kind: 'postgresql', database: options })
    onTestFinished(() => app.close())
    const client = await app.connect('legacy', (await app.register()).accessToken)
    const sends = Array.from({ length: 12 }, (_, index) =>
      client.call('send_message', { message: `hello ${index}` }),
    )
    for (const { structured } of await Promise.all(sends)) {
      expect(structured.data).toMatchObject({ status: 'complete' })
    }
  })

  describe('in transaction mode, with DATABASE_POOLER=transaction', () => {
    /** Fewer sessions than connections, taken in turn: everybody meets everybody's. */
    const FEW = ['default_pool_size = 4', 'min_pool_size = 4', 'server_round_robin = 1']
    const open = (options: FreshDatabase) => openDatabase({ ...options, pooler: 'transaction' })

    test('each statement has its settings, whatever the database says, and leaves none behind', async () => {
      const options = await pooled('transaction', FEW)
      const { pathname } = new URL(options.url)
      for (const [name, value] of OTHER_DEFAULTS) {
        await runSql(
          options.directUrl,
          `alter database ${pathname.slice(1)} set ${name} = '${value}'`,
        )
      }
      const database = await open(options)
      const look = (db: typeof database.db) =>
        sql<Record<string, string>>`select current_setting('TimeZone') as zone,
          current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement,
          current_setting('transaction_isolation') as isolation,
          date '2026-02-28' as day, ${1}::int as one`
          .execute(db)
          .then(({ rows }) => rows[0])
      const ours = {
        zone: 'UTC',
        lock: '5s',
        statement: '30s',
        isolation: 'read committed',
        day: '2026-02-28',
        one: 1,
      }
      const alone = Array.from({ length: 24 }, () => look(database.db))
      const together = database.db.transaction().execute((trx) => look(trx))
      const repeatable = database.db
        .transaction()
        .setIsolationLevel('repeatable read')
        .execute((trx) => look(trx))
      for (const seen of await Promise.all([...alone, together])) expect(seen).toEqual(ours)
      expect(await repeatable).toEqual({ ...ours, isolation: 'repeatable read' })
      await database.close()
      for (let i = 0; i < 8; i++) {
        const [left] = await runSql(options.url, "select current_setting('lock_timeout') as lock")
        expect(left).toEqual({ lock: '77s' })
      }
    })

    test('what fails is undone, and what was undone for another is done again', async () => {
      const database = await open(await pooled('transaction', FEW))
      await sql`create table counted (n int)`.execute(database.db)
      await expect(
        sql`insert into counted select 1 / (n - 1) from generate_series(2, 1, -1) n`.execute(
          database.db,
        ),
      ).rejects.toMatchObject({ code: '22012' })
      expect((await sql`select * from counted`.execute(database.db)).rows).toEqual([])
      await sql`insert into counted values (1), (2)`.execute(database.db)
      // Each locks the two rows in the other's order.
      const order = (direction: 'asc' | 'desc') =>
        sql`with locked as (
            select n, pg_sleep(0.05) from counted order by n ${sql.raw(direction)} for update)
          select count(*) from locked`.execute(database.db)
      for (let i = 0; i < 3; i++) await Promise.all([order('asc'), order('desc')])
      await database.close()
    })

    test('an empty database is migrated once by all who start together', async () => {
      const options = await pooled('transaction', FEW)
      const databases = [await open(options), await open(options)]
      const [{ db }] = databases as [Database, Database]
      await emptySchema(db)
      const applied = await Promise.all(
        databases.map(({ db, kind }) => migrateToLatest(db, kind, () => {})),
      )
      expect(applied.map(({ length }) => length).sort()[0]).toBe(0)
      expect(applied.flat().length).toBeGreaterThan(10)
      expect(await pendingMigrations(db)).toEqual([])
      const { rows } = await sql`select 1 from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`.execute(db)
      expect(rows).toEqual([])
      for (const database of databases) await database.close()
    })

    test('replicas serve, and follow and stop one another’s answers', async () => {
      const options = await pooled('transaction', FEW)
      const env = {
        DATABASE_POOLER: 'transaction',
        ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      }
      const one = await startApp({ kind: 'postgresql', database: options, env })
      const other = await startApp({ kind: 'postgresql', database: options, env })
      onTestFinished(async () => {
        await one.close()
        await other.close()
      })
      const { accessToken } = await one.register()
      const here = await one.connect('modern', accessToken)
      const there = await other.connect('legacy', accessToken)
      const sends = Array.from({ length: 12 }, (_, index) =>
        [here, there][index % 2]?.call('send_message', { message: `hello ${index}` }),
      )
      for (const sent of await Promise.all(sends)) {
        expect(sent?.structured.data).toMatchObject({ status: 'complete' })
      }
      one.claude.script({ kind: 'stream_stall', afterChunks: 3 })
      const begun = await here.call('send_message', { message: 'for long', wait_seconds: 0 })
      const { message_id } = begun.structured.data
      const stopped = await there.call('cancel_message', { message_id })
      expect(stopped.structured.data).toMatchObject({ status: 'cancelled' })
      expect(await one.app.repositories.ledgerAudit.listDrift()).toEqual([])
    })

    test('statement mode is refused all the same', async () => {
      const error = await open(await pooled('statement')).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({
        retryable: false,
        message: expect.stringMatching(/statement mode.*pool_mode=transaction/),
      })
    })
  })
})

const OTHER_DEFAULTS = [
  ['TimeZone', 'Asia/Tokyo'],
  ['DateStyle', 'German'],
  ['lock_timeout', '77s'],
  ['statement_timeout', '7s'],
  ['default_transaction_isolation', 'serializable'],
] as const
