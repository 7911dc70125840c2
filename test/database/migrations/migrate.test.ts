import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { migrateToLatest, pendingMigrations } from '../../../src/database/migrations/migrate.ts'
import { migrationFiles } from '../../../src/database/migrations/migration-files.ts'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'
import { emptySchema } from '../../support/empty-schema.ts'

const ALL = [...migrationFiles().keys()]

describeDatabases('migrateToLatest', (kind) => {
  let fresh: FreshDatabase
  let database: Database

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
  })

  beforeEach(() => emptySchema(database.db))

  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  test('applies everything once', async () => {
    expect(ALL.length).toBeGreaterThan(0)
    expect(await pendingMigrations(database.db)).toEqual(ALL)
    expect(await migrateToLatest(database.db, kind)).toEqual(ALL)
    expect(await pendingMigrations(database.db)).toEqual([])
    expect(await migrateToLatest(database.db, kind)).toEqual([])
  })

  test('several at once: one applies, the others find nothing to do', async () => {
    const isServer = kind === 'postgresql'
    const replicas = isServer ? await Promise.all([1, 2, 3].map(() => openDatabase(fresh))) : []
    const everyone = isServer ? replicas : [database, database]
    const results = await Promise.all(everyone.map(({ db }) => migrateToLatest(db, kind)))
    expect(results.flat()).toEqual(ALL)
    await Promise.all(replicas.map((replica) => replica.close()))
  })

  test('a migration that fails leaves nothing behind', async () => {
    await sql`create table conversations (id int)`.execute(database.db)
    await expect(migrateToLatest(database.db, kind)).rejects.toMatchObject({ code: '42P07' })
    const { rows } = await sql`select to_regclass('users') as users`.execute(database.db)
    expect(rows).toEqual([{ users: null }])
    expect(await pendingMigrations(database.db)).toEqual(ALL)
    await sql`drop table conversations`.execute(database.db)
    expect(await migrateToLatest(database.db, kind)).toEqual(ALL)
  })

  test('the migrations of a newer build are tolerated, with a warning', async () => {
    await migrateToLatest(database.db, kind)
    await sql`insert into schema_migrations values ('9999_future', now()::text)`.execute(
      database.db,
    )
    const warnings: string[] = []
    const applied = await migrateToLatest(database.db, kind, (message) => warnings.push(message))
    expect(applied).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('9999_future')])
  })
})
