/** What only a real server can show: other sessions, lost connections, time limits. */

import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Database, type DatabaseOptions, openDatabase } from '../../../src/database/open.ts'
import { LIFT_LIMITS, LIFT_STATEMENT_LIMIT } from '../../../src/database/postgresql/dialect.ts'
import { type FreshDatabase, freshDatabaseOptions, hasPostgresql } from '../../support/databases.ts'
import { startPausableProxy } from '../../support/pausable-proxy.ts'

const UNAVAILABLE = { code: 'database_unavailable', retryable: true }

describe.runIf(hasPostgresql)('postgresql', () => {
  let fresh: FreshDatabase

  beforeAll(async () => {
    fresh = await freshDatabaseOptions('postgresql')
  })

  afterAll(async () => {
    await fresh.drop()
  })

  async function open(options: Partial<DatabaseOptions> = {}): Promise<Database> {
    const database = await openDatabase({ ...fresh, ...options })
    onTestFinished(() => database.close())
    return database
  }

  const pidOf = async ({ db }: Pick<Database, 'db'>) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)
    return rows[0]?.pid
  }

  test('a statement that takes too long is cancelled on the server', async () => {
    const database = await open({ statementTimeoutMs: 400, poolSize: 1 })
    await expect(sql`select pg_sleep(20)`.execute(database.db)).rejects.toMatchObject(UNAVAILABLE)
    expect(await database.ping()).toBeGreaterThan(0)
  })

  test('limits can be lifted for a connection, which is then not used again', async () => {
    const database = await open({ statementTimeoutMs: 400, poolSize: 1 })
    const lifted = await database.db.connection().execute(async (connection) => {
      await sql.raw(LIFT_LIMITS).execute(connection)
      await sql`select pg_sleep(0.8)`.execute(connection)
      return pidOf({ db: connection })
    })
    expect(await pidOf(database)).not.toBe(lifted)
    await expect(sql`select pg_sleep(20)`.execute(database.db)).rejects.toMatchObject(UNAVAILABLE)
  })

  test('a transaction may take all the time it needs, on both sides, and the next one may not', async () => {
    const database = await open({ statementTimeoutMs: 400, poolSize: 1 })
    const pid = await database.db.transaction().execute(async (transaction) => {
      await sql.raw(LIFT_STATEMENT_LIMIT).execute(transaction)
      // Longer than the server's limit and what the client grants it beyond.
      await sql`select pg_sleep(2.8)`.execute(transaction)
      return pidOf({ db: transaction })
    })
    expect(await pidOf(database)).toBe(pid)
    await expect(sql`select pg_sleep(20)`.execute(database.db)).rejects.toMatchObject(UNAVAILABLE)
  })

  test('when every connection is taken, the next query fails in time', async () => {
    const database = await open({ acquireTimeoutMs: 100, poolSize: 1 })
    await database.db.transaction().execute(async () => {
      await expect(database.ping()).rejects.toMatchObject(UNAVAILABLE)
    })
    expect(await database.ping()).toBeGreaterThan(0)
  })

  test('a crowd waits longer in turn than a new connection may take', async () => {
    const database = await open({ connectTimeoutMs: 1000, poolSize: 2 })
    const inTurn = async (i: number) => {
      await database.db.transaction().execute(async (trx) => {
        await sql`select pg_sleep(0.01)`.execute(trx)
      })
      return i
    }
    const crowd = Array.from({ length: 300 }, (_, i) => i)
    expect(await Promise.all(crowd.map(inTurn))).toEqual(crowd)
  })

  test('a queue that stands still is given up as soon as a new connection would be', async () => {
    const database = await open({ connectTimeoutMs: 500, poolSize: 1 })
    await database.db.transaction().execute(async () => {
      await expect(database.ping()).rejects.toMatchObject(UNAVAILABLE)
    })
    expect(await database.ping()).toBeGreaterThan(0)
  })

  test('a connection lost in mid-transaction fails that transaction only', async () => {
    const errors: Error[] = []
    const database = await open({ onError: (error) => errors.push(error) })
    const lost = database.db.transaction().execute(async (trx) => {
      const pid = await pidOf({ db: trx })
      await sql`select pg_terminate_backend(${pid}::int, 5000)`.execute(database.db)
      await expect.poll(() => errors.length).toBeGreaterThan(0)
      await sql`select 1`.execute(trx)
    })
    await expect(lost).rejects.toMatchObject(UNAVAILABLE)
    expect(await database.ping()).toBeGreaterThan(0)
  })

  test('a server that stops answering is given up, and found again once it answers', async () => {
    const proxy = await startPausableProxy(fresh.url ?? '')
    onTestFinished(() => proxy.close())
    const limits = { statementTimeoutMs: 200, connectTimeoutMs: 1000, poolSize: 1 }
    const database = await open({ url: proxy.url, ...limits })
    proxy.pause()
    await expect(database.ping()).rejects.toMatchObject(UNAVAILABLE)
    await expect(database.ping()).rejects.toMatchObject(UNAVAILABLE)
    proxy.resume()
    expect(await database.ping()).toBeGreaterThan(0)
  })
})
