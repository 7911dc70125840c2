/** A database that does not open, and the copies it is recovered from. */

import { existsSync } from 'node:fs'
import { chmod, chown, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { listCopies } from '../../../../src/database/embedded/durability/copies.ts'
import { type Database, openDatabase } from '../../../../src/database/open.ts'
import { type FreshDatabase, freshDatabaseOptions } from '../../../support/databases.ts'

/** Each opens a database several times, which takes seconds on a busy machine. */
const limits = { timeout: 400_000 }

async function withDatabase<T>(
  { dataDir }: FreshDatabase,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const database = await openDatabase({ dataDir })
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

const makeTable = ({ db }: Database) =>
  sql`create table kept (n int primary key, content bytea)`.execute(db)

async function insert({ db }: Database, from: number, to: number): Promise<void> {
  await sql`
    insert into kept select n, sha256(n::text::bytea) from generate_series(${from}::int, ${to}::int) as n
  `.execute(db)
}

async function keptOf({ db }: Database): Promise<{ count: number; broken: number }> {
  const { rows } = await sql<{ count: number; broken: number }>`
    select count(*)::int as count,
      (count(*) filter (where content <> sha256(n::text::bytea)))::int as broken
    from kept`.execute(db)
  return rows[0] as { count: number; broken: number }
}

/** As a power cut leaves a folder that was never flushed. */
const damage = ({ dataDir }: FreshDatabase) =>
  truncate(join(dataDir, 'postgres', 'global', 'pg_control'), 0)

/** The user id of `nobody`. */
const NOBODY = 65_534

const asidesIn = async (dataDir: string) =>
  (await readdir(dataDir)).filter((name) => name.startsWith('postgres.'))

test(
  'a folder that does not open is recovered from the newest copy, and kept beside it',
  limits,
  async () => {
    const fresh = await freshDatabaseOptions('embedded')
    await withDatabase(fresh, async (database) => {
      await makeTable(database)
      await insert(database, 1, 1000)
      await database.keepCopy('hourly')
      await insert(database, 1001, 1500)
      expect(database.recovery).toBeUndefined()
    })
    const [copy] = await listCopies(fresh.dataDir)
    await damage(fresh)
    await withDatabase(fresh, async (database) => {
      expect(await keptOf(database)).toEqual({ count: 1000, broken: 0 })
      const [aside] = await asidesIn(fresh.dataDir)
      expect(database.recovery).toEqual({ takenAt: copy?.takenAt, asideIn: aside })
      expect(existsSync(join(fresh.dataDir, String(aside), 'base'))).toBe(true)
      await insert(database, 1001, 1002)
    })
    await withDatabase(fresh, async (database) => {
      expect(database.recovery).toBeUndefined()
      expect(await keptOf(database)).toEqual({ count: 1002, broken: 0 })
    })
    await fresh.drop()
  },
)

test(
  'a copy taken while rows are written holds all that was acknowledged before, whole',
  limits,
  async () => {
    const fresh = await freshDatabaseOptions('embedded')
    const acknowledged = await withDatabase(fresh, async (database) => {
      await makeTable(database)
      await insert(database, 1, 20_000)
      let isCopying = true
      let last = 20_000
      const copying = database.keepCopy('hourly').finally(() => {
        isCopying = false
      })
      while (isCopying) {
        await insert(database, last + 1, last + 50)
        await sql`update kept set content = sha256(n::text::bytea) where n % 100 = 0`.execute(
          database.db,
        )
        last += 50
        await sleep(5)
      }
      await copying
      expect(last).toBeGreaterThan(20_000)
      return 20_000
    })
    await rm(join(fresh.dataDir, 'postgres'), { recursive: true })
    await withDatabase(fresh, async (database) => {
      const { count, broken } = await keptOf(database)
      expect(count).toBeGreaterThanOrEqual(acknowledged)
      expect(broken).toBe(0)
      expect(database.recovery?.asideIn).toBeUndefined()
      const { rows } = await sql<{ n: number }>`select n from kept where n = ${count}`.execute(
        database.db,
      )
      expect(rows).toEqual([{ n: count }])
    })
    await fresh.drop()
  },
)

test(
  'a damaged copy is passed over, and without a good one nothing is touched',
  limits,
  async () => {
    const fresh = await freshDatabaseOptions('embedded')
    await withDatabase(fresh, async (database) => {
      await makeTable(database)
      await insert(database, 1, 10)
      await database.keepCopy('hourly')
      await insert(database, 11, 20)
      await database.keepCopy('hourly')
    })
    await damage(fresh)
    const [newest, older] = await listCopies(fresh.dataDir)
    const bytes = await readFile(String(newest?.path))
    bytes.writeUInt32BE(0xdead, Math.floor(bytes.length / 2))
    await writeFile(String(newest?.path), bytes)
    await withDatabase(fresh, async (database) => {
      expect(await keptOf(database)).toEqual({ count: 10, broken: 0 })
      expect(database.recovery?.takenAt).toEqual(older?.takenAt)
    })

    await damage(fresh)
    await truncate(String(older?.path), 1000)
    const before = await readdir(fresh.dataDir)
    await expect(openDatabase(fresh)).rejects.toMatchObject({
      code: 'database_unavailable',
      message: expect.stringContaining('does not open'),
      cause: { message: expect.stringContaining('PostgreSQL says: ') },
    })
    expect(await readdir(fresh.dataDir)).toEqual(before)
    await fresh.drop()
  },
)

test('a folder that this user may not read is not taken for damaged', limits, async () => {
  const fresh = await freshDatabaseOptions('embedded')
  await withDatabase(fresh, async (database) => {
    await makeTable(database)
    await database.keepCopy('hourly')
    await insert(database, 1, 10)
  })
  const before = await readdir(fresh.dataDir)
  for (const closed of ['postgres/pg_wal', 'postgres/base', 'copies', 'gateway.lock']) {
    if (closed === 'copies') await damage(fresh)
    await withoutRightsTo(join(fresh.dataDir, closed), fresh, async () => {
      await expect(openDatabase(fresh), closed).rejects.toMatchObject({
        code: 'database_unavailable',
        message: expect.stringMatching(
          /permission denied.*Give DATA_DIR and all in it to the user/i,
        ),
      })
    })
    expect(await readdir(fresh.dataDir)).toEqual(before)
  }
  await fresh.drop()
})

/** Root may read everything: there another user works. */
async function withoutRightsTo(
  folder: string,
  { dataDir }: FreshDatabase,
  work: () => Promise<void>,
): Promise<void> {
  const isRoot = process.getuid?.() === 0
  const below = await readdir(dataDir, { recursive: true })
  const all = [dataDir, ...below.map((name) => join(dataDir, name))]
  if (isRoot) for (const path of all) await chown(path, NOBODY, NOBODY)
  await chmod(folder, 0)
  if (isRoot) process.seteuid?.(NOBODY)
  try {
    await work()
  } finally {
    if (isRoot) process.seteuid?.(0)
    await chmod(folder, 0o700)
  }
}

test('of many copies few are kept', limits, async () => {
  const fresh = await freshDatabaseOptions('embedded')
  await withDatabase(fresh, async (database) => {
    await database.keepCopy('before-migration')
    for (let time = 0; time < 4; time++) await database.keepCopy('hourly')
  })
  const copies = await listCopies(fresh.dataDir)
  expect(copies.map(({ reason }) => reason)).toEqual(['hourly', 'hourly', 'before-migration'])
  expect(await readdir(join(fresh.dataDir, 'copies'))).toHaveLength(3)
  await fresh.drop()
})
