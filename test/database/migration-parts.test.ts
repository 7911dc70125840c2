/** How migrations are written (db/README.md), and that those of several parts apply whole. */

import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { migrateToLatest, pendingMigrations } from '../../src/database/migrations/migrate.ts'
import {
  migrationFiles,
  partsOf,
  statementsIn,
} from '../../src/database/migrations/migration-files.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const PARTS = new Map([
  [
    '9000_parts',
    `-- What it is about.
create table first (id int);
-- transaction
create table second (id int);
-- no transaction
create index concurrently first_id on first (id);
create unique index concurrently second_id on second (id);`,
  ],
])

describeDatabases('a migration of several parts', (kind) => {
  const own = ownDatabase(kind)
  const migrate = () => migrateToLatest(own.db, kind, () => {}, PARTS)
  const namesNow = async () => {
    const { rows } = await sql<{ name: string }>`
      select name from schema_migrations where name like '9000%' order by name`.execute(own.db)
    return rows.map(({ name }) => name)
  }
  const indexesNow = async () => {
    const { rows } = await sql<{ name: string; valid: boolean }>`
      select relname as name, indisvalid as valid from pg_index join pg_class on oid = indexrelid
      where relname in ('first_id', 'second_id') order by relname`.execute(own.db)
    return rows
  }

  test('goes on after the last part that is done, and is known by its own name in the end', async () => {
    // Two rows that a unique index refuses: the last part fails once the others are done.
    const broken = new Map([
      [
        '9000_parts',
        `${PARTS.get('9000_parts')}`.replace('-- no', 'insert into second values (1), (1);\n-- no'),
      ],
    ])
    await expect(migrateToLatest(own.db, kind, () => {}, broken)).rejects.toMatchObject({
      code: '23505',
    })
    expect(await namesNow()).toEqual(['9000_parts/1', '9000_parts/2'])
    expect(await pendingMigrations(own.db, PARTS)).toEqual(['9000_parts'])
    await sql`delete from second`.execute(own.db)

    expect(await migrate()).toEqual(['9000_parts'])
    expect(await namesNow()).toEqual(['9000_parts'])
    expect(await indexesNow()).toEqual([
      { name: 'first_id', valid: true },
      { name: 'second_id', valid: true },
    ])
    expect(await migrate()).toEqual([])
  })
})

/** The first that were written by these rules. */
const FIRST = '0007'
const CHANGES =
  /\b(?:alter table|update|delete from|insert into|drop table|lock table)\s+(?:if exists |only )?(\w+)|\bcreate (?:unique )?index (?!concurrently)\w+ on (\w+)|\bcreate (?:or replace )?trigger [^;]*? on (\w+)/gi
const MADE = /\bcreate (?:unlogged )?table (?:if not exists )?(\w+)/gi

const found = (text: string, pattern: RegExp) =>
  [...text.replace(/--.*$/gm, '').matchAll(pattern)].map((match) => match.slice(1).find(Boolean))

test('each part changes one table that others may be using, and indexes them from outside', () => {
  const tables = new Set<string | undefined>()
  for (const [name, text] of migrationFiles()) {
    for (const part of name < FIRST ? [] : partsOf(text)) {
      // Bodies of functions run later.
      const bare = part.text.replace(/\$\$[\s\S]*?\$\$/g, '')
      const changed = new Set(found(bare, CHANGES).filter((table) => tables.has(table)))
      expect([...changed].length, `${name} changes ${[...changed].join(', ')}`).toBeLessThan(2)
      if (part.inTransaction) {
        const indexed = found(bare, /\bcreate (?:unique )?index \w+ on (\w+)/gi)
        const large = indexed.filter((table) => tables.has(table))
        expect(large, `${name} builds an index without \`concurrently\``).toEqual([])
      } else {
        for (const statement of statementsIn(bare)) {
          expect(statement, name).toMatch(/^(create (unique )?index|drop index) concurrently /)
        }
      }
    }
    for (const table of found(text, MADE)) tables.add(table)
  }
  expect(tables.size).toBeGreaterThan(10)
})
