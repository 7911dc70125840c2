/** What is peculiar to the embedded database: one session, one thread, one process. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import { nextLine, runChild } from '../../support/child-process.ts'
import { type FreshDatabase, freshDatabaseOptions } from '../../support/databases.ts'

let fresh: FreshDatabase
let database: Database

beforeAll(async () => {
  fresh = await freshDatabaseOptions('embedded')
  database = await openDatabase({ ...fresh, acquireTimeoutMs: 1000 })
})

afterAll(async () => {
  await database.close()
  await fresh.drop()
})

test('a query on db inside a transaction fails instead of hanging, and harms nothing', async () => {
  const { db } = database
  const inside = db.transaction().execute(async () => {
    await sql`select 1`.execute(db)
  })
  await expect(inside).rejects.toMatchObject({
    code: 'database_unavailable',
    cause: { message: expect.stringContaining('inside an open transaction') },
  })
  expect(await database.ping()).toBeGreaterThan(0)
})

test('a waiter that gave up is not granted the session later', async () => {
  const { db } = database
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const holder = db.transaction().execute(() => finished)
  await expect(database.ping()).rejects.toMatchObject({ code: 'database_unavailable' })
  finish()
  await holder
  const order = await Promise.all([1, 2, 3].map((n) => sql`select ${n}::int as n`.execute(db)))
  expect(order.flatMap(({ rows }) => rows)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
})

test('queries get the session in the order they asked', async () => {
  const { db } = database
  const finished: number[] = []
  const asked = Array.from({ length: 20 }, async (_, n) => {
    if (n % 2) await db.transaction().execute((trx) => sql`select 1`.execute(trx))
    else await sql`select 1`.execute(db)
    finished.push(n)
  })
  await Promise.all(asked)
  expect(finished).toEqual(Array.from({ length: 20 }, (_, n) => n))
})

test('sockets and timers get a turn between queries', async () => {
  let turns = 0
  let counting = true
  const count = () => {
    turns += 1
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all(Array.from({ length: 50 }, () => sql`select 1`.execute(database.db)))
  counting = false
  expect(turns).toBeGreaterThanOrEqual(50)
})

test('streaming is refused', async () => {
  const stream = database.db.selectFrom('users').select('id').stream()
  await expect(stream.next()).rejects.toThrow('cannot stream')
})

test('the process ends by itself once the database is closed', async () => {
  const other = await freshDatabaseOptions('embedded')
  const child = runChild(new URL('../children/open-and-close.ts', import.meta.url), other.dataDir)
  expect(await nextLine(child)).toBe('closed')
  expect(await child.exit).toBe(0)
  await other.drop()
})
