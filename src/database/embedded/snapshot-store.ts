/** Finds and unpacks the snapshot of an empty, migrated embedded database. */

import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { migrationsHash } from '../migrations/migration-files.ts'
import { tarEntries } from './tar.ts'

export const SNAPSHOT_FILE = 'embedded-snapshot.tar.gz'
export const KEY_FILE = 'embedded-snapshot.json'

/** Files of one PGlite version are guaranteed to open in that version only. */
export type SnapshotKey = { pglite: string; migrations: string; making: number }

/** Incremented with every change of how a snapshot is built (build-snapshot.ts, open.ts). */
const MAKING = 2

/** Where the build or a test run puts it. */
const FOLDERS = ['../../../dist/database/', '../../../node_modules/.cache/claude-api-gateway/'].map(
  (path) => fileURLToPath(new URL(path, import.meta.url)),
)

export function currentKey(): SnapshotKey {
  const entry = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  const { version } = JSON.parse(readFileSync(join(entry, '../../package.json'), 'utf8'))
  return { pglite: version, migrations: migrationsHash(), making: MAKING }
}

export function hasCurrentSnapshot(folder: string): boolean {
  if (!existsSync(join(folder, KEY_FILE)) || !existsSync(join(folder, SNAPSHOT_FILE))) return false
  const key = JSON.parse(readFileSync(join(folder, KEY_FILE), 'utf8')) as SnapshotKey
  const current = currentKey()
  return (
    key.pglite === current.pglite &&
    key.migrations === current.migrations &&
    key.making === current.making
  )
}

/** Fills an empty folder with the database files. False when there is no current snapshot. */
export async function unpackSnapshot(into: string): Promise<boolean> {
  const folder = FOLDERS.find(hasCurrentSnapshot)
  if (folder === undefined) return false
  const tar = await promisify(gunzip)(await readFile(join(folder, SNAPSHOT_FILE)))
  const entries = [...tarEntries(tar)]
  for (const { name } of entries.filter((entry) => entry.isFolder)) {
    await mkdir(join(into, name), { recursive: true, mode: 0o700 })
  }
  await inBatches(
    entries.filter((entry) => !entry.isFolder),
    ({ name, bytes }) =>
      // Flushed, because PGlite never does: a power cut soon after the first start would leave
      // empty files, which do not open again.
      writeFile(join(into, name), bytes, { mode: 0o600, flush: true }),
  )
  return true
}

/** Runs 64 at a time, to stay below the limit of open files. */
async function inBatches<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += 64) {
    await Promise.all(items.slice(start, start + 64).map(work))
  }
}
