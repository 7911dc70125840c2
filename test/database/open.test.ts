import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
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
    const { rows } = await sql`select count(*) from users`.execute(database.db)
    expect(rows).toEqual([{ count: '0' }])
  })
})
