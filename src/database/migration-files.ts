/** The migrations this build was made with: db/migrations/NNNN_<what>.sql, by name. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'

/** Right from src/database and from dist/database. */
const FOLDER = new URL('../../db/migrations/', import.meta.url)

/** SQL by name without `.sql`, in the order they apply. */
export function migrationFiles(): Map<string, string> {
  const names = readdirSync(FOLDER).filter((name) => /^\d{4}_.+\.sql$/.test(name))
  return new Map(
    names.sort().map((name) => [name.slice(0, -4), readFileSync(new URL(name, FOLDER), 'utf8')]),
  )
}

/** Changes with any migration. */
export function migrationsHash(): string {
  const hash = createHash('sha256')
  for (const [name, text] of migrationFiles()) hash.update(`${name}\0${text}\0`)
  return hash.digest('hex')
}
