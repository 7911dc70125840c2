import { readdirSync, readFileSync } from 'node:fs'
import { type Kysely, sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { preparedStatements } from '../../src/database/statements/prepared.ts'
import '../../src/repositories/index.ts'
import type { Schema } from '../../src/database/schema.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'

const repositories = new URL('../../src/repositories/', import.meta.url)
const sources = readdirSync(repositories, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(new URL(file, repositories), 'utf8'))
const named = (pattern: RegExp) =>
  sources.flatMap((text) => [...text.matchAll(pattern)]).map(([, name = '']) => name)
const READS = named(/\bprepareRead<[^(]*>\(\{\s*name: '(\w+)'/g)
/** Of the source: the process may know others, of tests. */
const NAMES = [
  ...named(/\bprepare<[^(]*>\(\s*'(\w+)'/g),
  ...READS.flatMap((name) =>
    ['check', 'count'].flatMap((how) => [`${how}_${name}_by_id`, `${how}_${name}_by_hash`]),
  ),
]

describeDatabases('the prepared statements', (kind) => {
  let fresh: FreshDatabase
  let database: Database

  beforeEach(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
  })

  afterEach(async () => {
    await database.close()
    await fresh.drop()
  })

  test('look up what few users wrote, before all their tables were ever counted', async () => {
    await grow(database.db, { users: 16, conversationsEach: 500 })
    await sql`analyze conversations, messages`.execute(database.db)
    await expectLookups(database.db, ['conversations', 'messages'])
  })

  test.each([5_000, 15_000])('look up the rows of one user among %i', async (users) => {
    await grow(database.db, { users, conversationsEach: 1 })
    await sql`analyze`.execute(database.db)
    await expectLookups(database.db, ['users', 'api_keys', 'sessions', 'conversations', 'messages'])
  })
})

async function expectLookups(db: Kysely<Schema>, tables: string[]): Promise<void> {
  expect(NAMES.length).toBeGreaterThan(8)
  expect(READS.length).toBeGreaterThan(2)
  const statements = preparedStatements().filter(([name]) => NAMES.includes(name))
  expect(statements.map(([name]) => name).sort()).toEqual([...NAMES].sort())
  const wholeTable = new RegExp(`Seq Scan on (${tables.join('|')})`)
  for (const [name, text] of statements) {
    const plan = await db.connection().execute((session) => planOf(session, name, text))
    expect(plan, name).not.toMatch(wholeTable)
  }
}

/** A number as an id, so that rows name each other. */
const id = (number: string) => sql.raw(`lpad(to_hex(${number}), 32, '0')::uuid`)

type Size = { users: number; conversationsEach: number }

/** Each user has a key and a session, each conversation two messages. */
async function grow(db: Kysely<Schema>, { users, conversationsEach }: Size): Promise<void> {
  const user = sql`generate_series(1, ${sql.lit(users)}) as n`
  const conversation = sql`generate_series(1, ${sql.lit(users * conversationsEach)}) as n`
  const owner = id(`(n - 1) / ${conversationsEach} + 1`)
  await sql`
    insert into users (id, username, username_key, email, email_key, password_hash, data_key)
    select ${id('n')}, n, n, n, n, 'hash', 'key' from ${user}`.execute(db)
  await sql`
    insert into api_keys (user_id, sealed, last_four)
    select ${id('n')}, 'sealed', 'four' from ${user}`.execute(db)
  await sql`
    insert into sessions (id, user_id, kind, expires_at)
    select ${id('n')}, ${id('n')}, 'personal', 'infinity' from ${user}`.execute(db)
  await sql`
    insert into conversations (id, user_id, data_key, title, model)
    select ${id('n')}, ${owner}, 'key', 'title', 'model' from ${conversation}`.execute(db)
  await sql`
    insert into messages (id, conversation_id, user_id, position, role, status, content, model)
    select ${id('n * 2 + part')}, ${id('n')}, ${owner}, part + 1,
      (array['user', 'assistant'])[part + 1], 'complete', 'text', 'model'
    from ${conversation}, generate_series(0, 1) as part`.execute(db)
}

/** The plan for any values: as kept under its name. */
async function planOf(db: Kysely<Schema>, name: string, text: string): Promise<string> {
  const places = [...text.matchAll(/\$(\d+)/g)].map(([, place]) => Number(place))
  const nulls = Array.from({ length: Math.max(...places) }, () => 'null')
  await sql.raw(`prepare explained_${name} as ${text}`).execute(db)
  const { rows } = await sql
    .raw<Record<string, string>>(`explain execute explained_${name}(${nulls})`)
    .execute(db)
  await sql.raw(`deallocate explained_${name}`).execute(db)
  return rows.flatMap((row) => Object.values(row)).join('\n')
}
