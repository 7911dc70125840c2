/** Looking for a text in everything a database keeps, in every form it could have there. */

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import type { Schema } from '../../src/database/schema.ts'

/** How the bytes of an ASCII text may stand in a file or a column. */
function formsOf(secret: string): Buffer[] {
  const utf8 = Buffer.from(secret, 'utf8')
  const utf16 = Buffer.from(secret, 'utf16le')
  const hex = utf8.toString('hex')
  // Base64 depends on where the text begins in what was encoded: cut off what its neighbours touch.
  const base64s = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), utf8]).toString('base64')
    return text.slice(shift === 0 ? 0 : 4, -4)
  })
  const urls = base64s.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))
  return [
    utf8,
    utf16,
    Buffer.from(utf16).swap16(),
    ...[hex, hex.toUpperCase(), ...base64s, ...urls].map((text) => Buffer.from(text)),
    Buffer.from([...utf8].reverse()),
  ]
}

/** Every row of every table, as PostgreSQL writes it: text as it is, bytea in hex. */
export async function dumpTables(db: Kysely<Schema>): Promise<Map<string, Buffer>> {
  const { rows: tables } = await sql<{ name: string }>`
    select quote_ident(table_schema) || '.' || quote_ident(table_name) as name
    from information_schema.tables
    where table_schema not in ('information_schema', 'pg_catalog')`.execute(db)
  const dump = new Map<string, Buffer>()
  for (const { name } of tables) {
    const { rows } = await sql<{ line: string }>`
      select t::text as line from ${sql.raw(name)} t`.execute(db)
    dump.set(name, Buffer.from(rows.map(({ line }) => line).join('\n')))
  }
  return dump
}

/** Every file below a folder, as it is on the disk. */
export function readFiles(folder: string): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => statSync(join(folder, name)).isFile())
  return new Map(files.map((name) => [name, readFileSync(join(folder, name))]))
}

/** Names of the places where any form of the secret is. */
export function placesOf(secret: string, contents: Map<string, Buffer>): string[] {
  const forms = formsOf(secret)
  return [...contents].flatMap(([name, bytes]) =>
    forms.some((form) => bytes.includes(form)) ? [name] : [],
  )
}
