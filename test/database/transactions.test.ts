/** What transactions promise, on both databases alike. */

import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'

type Accounts = { accounts: { id: number; balance: number } }

const ACCOUNTS = 8
const TOTAL = ACCOUNTS * 100

describeDatabases('transactions', (kind) => {
  let fresh: FreshDatabase
  let database: Database
  let db: Kysely<Accounts>

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    db = database.db as unknown as Kysely<Accounts>
    await sql`create table accounts (id int primary key, balance int not null)`.execute(db)
    const ids = Array.from({ length: ACCOUNTS }, (_, id) => id)
    await db
      .insertInto('accounts')
      .values(ids.map((id) => ({ id, balance: 100 })))
      .execute()
  })

  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  /** Moves 1 between two accounts; undone, broken by an error, or committed. */
  async function transfer(task: number, round: number): Promise<string> {
    const [low, high] = [(task + round) % ACCOUNTS, (task * 3 + 1) % ACCOUNTS].sort((a, b) => a - b)
    const marker = `${task}-${round}`
    return db.transaction().execute(async (trx) => {
      await sql`select set_config('test.task', ${marker}, true)`.execute(trx)
      await add(trx, low ?? 0, -1)
      if (round % 5 === 0) throw new Error('undone on purpose')
      if (round % 7 === 0) await sql`select 1 / 0`.execute(trx)
      await add(trx, high ?? 0, 1)
      const { rows } = await sql<{ task: string }>`
        select current_setting('test.task') as task`.execute(trx)
      return rows[0]?.task ?? ''
    })
  }

  const add = (trx: Kysely<Accounts>, id: number, amount: number) =>
    trx
      .updateTable('accounts')
      .set(({ eb }) => ({ balance: eb('balance', '+', amount) }))
      .where('id', '=', id)
      .executeTakeFirstOrThrow()

  async function sumOutside(): Promise<{ sum: number; task: string }> {
    const { rows } = await sql<{ sum: number; task: string }>`
      select sum(balance)::int as sum, coalesce(current_setting('test.task', true), '') as task
      from accounts`.execute(db)
    return rows[0] ?? { sum: 0, task: '' }
  }

  test('32 tasks at once never see each other half done', async () => {
    const seen = { committed: 0, undone: 0 }
    const rounds = Array.from({ length: 12 }, (_, index) => index + 1)
    const tasks = Array.from({ length: 32 }, async (_, task) => {
      for (const round of rounds) {
        const outcome = await transfer(task, round).catch((error: Error) => error)
        if (typeof outcome === 'string') expect(outcome).toBe(`${task}-${round}`)
        seen[typeof outcome === 'string' ? 'committed' : 'undone'] += 1
        expect(await sumOutside()).toEqual({ sum: TOTAL, task: '' })
      }
    })
    await Promise.all(tasks)
    expect(seen).toEqual({ committed: 32 * 9, undone: 32 * 3 })
  })

  test('a savepoint can be rolled back inside a transaction that commits', async () => {
    const trx = await db.startTransaction().execute()
    await add(trx, 0, 5)
    const inner = await trx.savepoint('"odd" name').execute()
    await add(inner, 0, 1000)
    const back = await inner.rollbackToSavepoint('"odd" name').execute()
    const kept = await back.savepoint('kept').execute()
    await add(kept, 1, -5)
    await kept.releaseSavepoint('kept').execute()
    await trx.commit().execute()
    expect((await sumOutside()).sum).toBe(TOTAL)
  })

  test('isolation level and access mode reach the server', async () => {
    const settings = await db
      .transaction()
      .setIsolationLevel('serializable')
      .setAccessMode('read only')
      .execute(async (trx) => {
        const { rows } = await sql`
          select current_setting('transaction_isolation') as level,
            current_setting('transaction_read_only') as read_only`.execute(trx)
        return rows
      })
    expect(settings).toEqual([{ level: 'serializable', readOnly: 'on' }])
    const { rows } = await sql`select current_setting('transaction_isolation') as level`.execute(db)
    expect(rows).toEqual([{ level: 'read committed' }])
  })

  test('tells how many rows were touched', async () => {
    const changed = await db.updateTable('accounts').set({ balance: 100 }).executeTakeFirst()
    expect(changed.numUpdatedRows).toBe(BigInt(ACCOUNTS))
    const none = await db.deleteFrom('accounts').where('id', '<', 0).executeTakeFirst()
    expect(none.numDeletedRows).toBe(0n)
  })
})
