/** Servers as their operators left them: defaults, failovers, poolers, certificates. */

import { sql } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type DatabaseOptions, openDatabase } from '../../src/database/open.ts'
import { prepare } from '../../src/database/statements/prepared.ts'
import { runSql } from '../support/database-supplies.ts'
import { freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { startApp } from '../support/start-app.ts'

/** Defaults that a database may have for good reasons of somebody else's. */
const HOSTILE = {
  default_transaction_isolation: 'serializable',
  default_transaction_deferrable: 'on',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '500ms',
  statement_timeout: '50ms',
  TimeZone: 'Asia/Kolkata',
  DateStyle: 'German, DMY',
  IntervalStyle: 'iso_8601',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  standard_conforming_strings: 'off',
}

const setDefaults = (url: string, settings: Record<string, string>) =>
  runSql(
    url,
    `begin read write; do $$ begin ${Object.entries(settings)
      .map(
        ([name, value]) =>
          `execute format('alter database %I set ${name} = %L', current_database(), '${value}');`,
      )
      .join(' ')} end $$; commit`,
  )

describe.runIf(hasPostgresql)('a PostgreSQL database', () => {
  async function fresh() {
    const options = await freshDatabaseOptions('postgresql')
    onTestFinished(() => options.drop())
    return { ...options, url: options.url as string }
  }

  async function open(options: DatabaseOptions) {
    const database = await openDatabase(options)
    onTestFinished(() => database.close())
    return database
  }

  test('whose defaults are hostile gives values as any other', async () => {
    const options = await fresh()
    await setDefaults(options.url, HOSTILE)
    const { db } = await open(options)
    const { rows } = await sql`
      select date '2026-02-03' as day, interval '1 day 02:00' as pause,
        timestamptz '2026-02-28 12:00:00.123+01' as instant, '\\x00ff'::bytea as bytes,
        0.1::float8 + 0.2::float8 as float8, 'a\\b' as text,
        current_setting('transaction_isolation') as isolation`.execute(db)
    expect(rows).toEqual([
      {
        day: '2026-02-03',
        pause: '1 day 02:00:00',
        instant: new Date('2026-02-28T11:00:00.123Z'),
        bytes: Buffer.from([0, 255]),
        float8: 0.1 + 0.2,
        text: 'a\\b',
        isolation: 'read committed',
      },
    ])
    await db.transaction().execute(async (tx) => {
      await sql`select pg_sleep(0.1)`.execute(tx)
      await new Promise((resolve) => setTimeout(resolve, 100))
      await sql`select 1`.execute(tx)
    })
  })

  test('whose defaults are hostile serves many at once', async () => {
    const options = await fresh()
    await setDefaults(options.url, HOSTILE)
    const app = await startApp({ kind: 'postgresql', database: options })
    onTestFinished(() => app.close())
    const { accessToken } = await app.register()
    const client = await app.connect('legacy', accessToken)
    const sends = Array.from({ length: 12 }, (_, index) =>
      client.call('send_message', { message: `hello ${index}` }),
    )
    for (const { structured } of await Promise.all(sends)) {
      expect(structured.data).toMatchObject({ status: 'complete' })
    }
  })

  test("and its URL's options are kept beside ours", async () => {
    const options = await fresh()
    const url = new URL(options.url)
    url.searchParams.set('options', '-c TimeZone=Asia/Kolkata -c work_mem=5MB')
    const { db } = await open({ ...options, url: url.href })
    const { rows } = await sql`
      select current_setting('TimeZone') as zone, current_setting('work_mem') as memory`.execute(db)
    expect(rows).toEqual([{ zone: 'UTC', memory: '5MB' }])
  })

  test('that was read-only, as a standby is, is found writable on every connection', async () => {
    const options = await fresh()
    await setDefaults(options.url, { default_transaction_read_only: 'on' })
    const { db } = await open({ ...options, poolSize: 4 })
    const pid = async () =>
      (await sql<{ pid: number }>`select pg_backend_pid() as pid from pg_sleep(0.2)`.execute(db))
        .rows[0]?.pid
    const all = () => Promise.all([1, 2, 3, 4].map(pid))
    const before = await all()
    expect(new Set(before).size).toBe(4)
    const write = () => sql`insert into heartbeats values (gen_random_uuid(), now())`.execute(db)
    await expect(write()).rejects.toMatchObject({
      code: 'database_unavailable',
      retryable: true,
      message: expect.stringContaining('25006'),
    })
    // The address now leads to a server that takes writes; the old connections stay as they were.
    await setDefaults(options.url, { default_transaction_read_only: 'off' })
    // Whichever connection is taken, it may be one more of the old ones, and then is the last.
    await write().catch(() => write())
    const after = await all()
    expect(after.filter((one) => before.includes(one))).toEqual([])
    await Promise.all([1, 2, 3, 4].map(write))
  })

  test.each(['57P01', '57P02', '57P03', '08006', '25P03'])(
    'that says %s gets another connection',
    async (state) => {
      const { db } = await open({ ...(await fresh()), poolSize: 1 })
      const pid = async () =>
        (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)).rows[0]?.pid
      const before = await pid()
      await expect(
        sql.raw(`do $$ begin raise exception using errcode = '${state}'; end $$`).execute(db),
      ).rejects.toMatchObject({ code: 'database_unavailable' })
      expect(await pid()).not.toBe(before)
    },
  )

  test('a statement that another build has changed the table of is prepared again', async () => {
    const { db } = await open({ ...(await fresh()), poolSize: 1 })
    const readAll = prepare<Record<string, never>, { a: number; b?: number }>(
      'read_changing',
      () => 'select * from changing',
    )
    await sql.raw('create table changing (a int); insert into changing values (1)').execute(db)
    expect(await readAll(db, {})).toEqual([{ a: 1 }])
    await sql.raw('alter table changing add column b int').execute(db)
    await expect(readAll(db, {})).rejects.toMatchObject({ code: 'database_unavailable' })
    expect(await readAll(db, {})).toEqual([{ a: 1, b: null }])
  })
})
