import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { AppError } from '../../src/errors.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'

describeDatabases('openDatabase', (kind) => {
  let fresh: FreshDatabase
  let database: Database

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
  })

  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  test('answers', async () => {
    expect(database.kind).toBe(kind)
    expect(await database.ping()).toBeGreaterThan(0)
  })

  test('counts days in UTC', async () => {
    const { rows } = await sql`select current_setting('TimeZone') as zone`.execute(database.db)
    expect(rows).toEqual([{ zone: 'UTC' }])
  })

  test('gives every type as the other database does', async () => {
    const { rows } = await sql`
      select 9007199254740993::int8 as int8, array[1, 2]::int8[] as int8s, count(*), sum(x),
        1.50::numeric as numeric, 2.5::float8 as float8, 7::int4 as int4, true as yes,
        date '2026-02-28' as day, array[date '2026-02-28'] as days,
        interval '1 day 02:00' as pause, array[interval '1 day'] as pauses,
        timestamptz '2026-02-28 12:00:00.123+01' as instant,
        '\\x00ff'::bytea as bytes, array['\\x0a'::bytea] as byte_arrays,
        '{"snake_key": [1, null]}'::jsonb as json_object, '[{"a_b": 1}]'::jsonb as json_array,
        array['a', null]::text[] as texts, '11111111-2222-3333-4444-555555555555'::uuid as id,
        null::int8 as nothing
      from generate_series(1, 3) as x`.execute(database.db)
    expect(rows).toEqual([
      {
        int8: '9007199254740993',
        int8s: ['1', '2'],
        count: '3',
        sum: '6',
        numeric: '1.50',
        float8: 2.5,
        int4: 7,
        yes: true,
        day: '2026-02-28',
        days: ['2026-02-28'],
        pause: '1 day 02:00:00',
        pauses: ['1 day'],
        instant: new Date('2026-02-28T11:00:00.123Z'),
        bytes: Buffer.from([0, 255]),
        byteArrays: [Buffer.from([10])],
        jsonObject: { snake_key: [1, null] },
        jsonArray: [{ a_b: 1 }],
        texts: ['a', null],
        id: '11111111-2222-3333-4444-555555555555',
        nothing: null,
      },
    ])
  })

  test('takes every type as the other database does', async () => {
    const instant = new Date('2026-02-28T11:00:00.123Z')
    const bytes = Buffer.from([0, 1, 255])
    const { rows } = await sql`
      select ${instant}::timestamptz as instant, ${bytes}::bytea as bytes,
        ${['a', 'b']}::text[] as texts, ${'9007199254740993'}::int8 as big, ${5}::int4 as small,
        ${JSON.stringify([1, { b: 2 }])}::jsonb as json, ${true}::boolean as yes,
        ${null}::text as nothing, ${'é😀'}::text as emoji`.execute(database.db)
    expect(rows).toEqual([
      {
        instant,
        bytes,
        texts: ['a', 'b'],
        big: '9007199254740993',
        small: 5,
        json: [1, { b: 2 }],
        yes: true,
        nothing: null,
        emoji: 'é😀',
      },
    ])
  })

  test('refuses a JavaScript array for jsonb, which pg would send as a PostgreSQL array', async () => {
    await expect(sql`select ${[1, 2]}::jsonb`.execute(database.db)).rejects.toThrow()
  })

  test('runs several statements at once, and the last one counts', async () => {
    const { rows } = await sql
      .raw<{ two: number }>(
        'create table twice (n int); insert into twice values (1); select 2 as two',
      )
      .execute(database.db)
    expect(rows).toEqual([{ two: 2 }])
    await expect(
      sql.raw('insert into twice values (2); select 1 / 0').execute(database.db),
    ).rejects.toMatchObject({ code: '22012' })
    const { rows: kept } = await sql`select n from twice`.execute(database.db)
    expect(kept).toEqual([{ n: 1 }])
  })

  test('says which constraint a row broke', async () => {
    await sql`create table single (n int constraint only_once unique)`.execute(database.db)
    await sql`insert into single values (1)`.execute(database.db)
    await expect(sql`insert into single values (1)`.execute(database.db)).rejects.toMatchObject({
      code: '23505',
      constraint: 'only_once',
    })
  })

  test('may be closed twice', async () => {
    const other = await freshDatabaseOptions(kind)
    const second = await openDatabase(other)
    await Promise.all([second.close(), second.close()])
    await second.close()
    await other.drop()
  })
})

test('a server that is not there is database_unavailable', async () => {
  const opening = openDatabase({ url: 'postgresql://nobody@127.0.0.1:1/none', dataDir: '' })
  await expect(opening).rejects.toBeInstanceOf(AppError)
  await expect(opening).rejects.toMatchObject({ code: 'database_unavailable', retryable: true })
})
