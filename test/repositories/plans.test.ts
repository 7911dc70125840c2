import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { preparedStatements } from '../../src/database/prepared.ts'
import '../../src/repositories/conversations.ts'
import '../../src/repositories/leases.ts'
import '../../src/repositories/send-openings.ts'
import '../../src/repositories/session-checks.ts'
import '../../src/repositories/turn-beginning-statements.ts'
import '../../src/repositories/turn-ending-statements.ts'
import type { Schema } from '../../src/database/schema.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'

/** Users, each with a session and a conversation of two messages: few enough to tempt the planner. */
const SIZES = [5_000, 15_000]

describeDatabases('the prepared statements', (kind) => {
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

  test('read no table from end to end that grows with users and messages', async () => {
    expect(preparedStatements().length).toBeGreaterThan(8)
    let size = 0
    for (const next of SIZES) {
      await grow(database.db, size + 1, next)
      size = next
      for (const [name, text] of preparedStatements()) {
        const plan = await database.db.connection().execute((db) => planOf(db, name, text))
        expect(plan, `${name} with ${size} users`).not.toMatch(
          /Seq Scan on (users|api_keys|sessions|conversations|messages)/,
        )
      }
    }
  })
})

/** A number as an id, so that rows name each other. */
const id = (number: string) => sql.raw(`lpad(to_hex(${number}), 32, '0')::uuid`)

async function grow(db: Kysely<Schema>, from: number, to: number): Promise<void> {
  const numbers = sql`generate_series(${sql.lit(from)}::int, ${sql.lit(to)}::int) as n`
  await sql`
    insert into users (id, username, username_key, email, email_key, password_hash, data_key)
    select ${id('n')}, n, n, n, n, 'hash', 'key' from ${numbers}`.execute(db)
  await sql`
    insert into api_keys (user_id, sealed, last_four)
    select ${id('n')}, 'sealed', 'four' from ${numbers}`.execute(db)
  await sql`
    insert into sessions (id, user_id, kind, expires_at)
    select ${id('n')}, ${id('n')}, 'personal', 'infinity' from ${numbers}`.execute(db)
  await sql`
    insert into conversations (id, user_id, data_key, title, model)
    select ${id('n')}, ${id('n')}, 'key', 'title', 'model' from ${numbers}`.execute(db)
  await sql`
    insert into messages (id, conversation_id, user_id, position, role, status, content, model)
    select ${id('n * 2 + part')}, ${id('n')}, ${id('n')}, part + 1,
      (array['user', 'assistant'])[part + 1], 'complete', 'text', 'model'
    from ${numbers}, generate_series(0, 1) as part`.execute(db)
  await sql`analyze`.execute(db)
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
