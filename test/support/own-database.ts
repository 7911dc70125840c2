import { afterAll, beforeAll } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { type DatabaseKind, type FreshDatabase, freshDatabaseOptions } from './databases.ts'

/** For the tests of one `describe`: migrated and empty before the first, gone after the last. */
export function ownDatabase(kind: DatabaseKind): Pick<Database, 'db'> {
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
  return {
    get db() {
      return database.db
    },
  }
}
