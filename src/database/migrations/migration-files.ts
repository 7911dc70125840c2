/** The migrations this build was made with: db/migrations/NNNN_<what>.sql, by name. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

/** Resolves from src/database and from dist/database. */
const FOLDER = new URL('../../../db/migrations/', import.meta.url)

/** The unit that is applied at once. db/README.md says how and why a file is divided into parts. */
export type MigrationPart = { text: string; inTransaction: boolean }

/** A separate line that begins a part. */
const DIVIDER = /^-- (no transaction|transaction)$/m

/** SQL by name without `.sql`, in the order of application. */
export function migrationFiles(): Map<string, string> {
  const names = readdirSync(FOLDER).filter((name) => /^\d{4}_.+\.sql$/.test(name))
  return new Map(
    names.sort().map((name) => [name.slice(0, -4), readFileSync(new URL(name, FOLDER), 'utf8')]),
  )
}

export function partsOf(text: string): MigrationPart[] {
  const [first = '', ...pieces] = text.split(DIVIDER)
  const parts = [{ text: first, inTransaction: true }]
  for (let i = 0; i < pieces.length; i += 2) {
    parts.push({ text: pieces[i + 1] as string, inTransaction: pieces[i] === 'transaction' })
  }
  return parts.filter((part) => statementsIn(part.text).length > 0)
}

/** Without comments. Only for parts without functions, whose bodies hold semicolons too. */
export function statementsIn(text: string): string[] {
  const statements = text.replace(/^\s*--.*$/gm, '').split(/;\s*$/m)
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== '')
}

/** Names in the SQL itself, not in its comments, strings and function bodies. */
export function wordsIn(text: string): string[] {
  const bare = text.replace(/--.*$/gm, '').replace(/\$\$[\s\S]*?\$\$|'(?:[^']|'')*'/g, '')
  return [...new Set(bare.match(/[a-z_][a-z0-9_]*/g))]
}

/** SHA-256 over all migrations. */
export function migrationsHash(): string {
  const hash = createHash('sha256')
  for (const [name, text] of migrationFiles()) hash.update(`${name}\0${text}\0`)
  return hash.digest('hex')
}
