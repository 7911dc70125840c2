/** The embedded database's files: made whole or not at all, then opened. */

import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { unpackSnapshot } from './snapshot-store.ts'

/** Makes values come as they do from the pg driver. Parsers get PostgreSQL's text form. */
const PARSERS = {
  20: (text: string) => text, // int8: as text, exact beyond 2^53
  1082: (text: string) => text, // date: a day, not an instant
  17: (text: string) => Buffer.from(text.slice(2), 'hex'), // bytea: '\x…'
}

/** pg turns a JavaScript array into a PostgreSQL array, which jsonb refuses: so do we. */
const SERIALIZERS = { 114: jsonText, 3802: jsonText }

/**
 * Opens the database in `${dataDir}/postgres`, making it on the first start: from the snapshot of
 * an empty migrated database if there is one for this build, otherwise by initdb (slow, 850 MB).
 * The caller holds the folder's claim.
 */
export async function openPglite(dataDir: string): Promise<PGlite> {
  const folder = join(dataDir, 'postgres')
  if (!existsSync(folder)) await make(dataDir, folder)
  return connect(folder)
}

/** @param folder left out: in memory. */
export async function connect(folder?: string): Promise<PGlite> {
  const options = { parsers: PARSERS, serializers: SERIALIZERS }
  const pglite = await (folder === undefined
    ? PGlite.create(options)
    : PGlite.create(folder, options))
  // As postgresql.ts has it.
  await pglite.exec('set plan_cache_mode = force_generic_plan')
  return pglite
}

/** A start killed half-way leaves only a folder by another name, which the next start removes. */
async function make(dataDir: string, folder: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith('postgres.new-')) await rm(join(dataDir, name), { recursive: true })
  }
  const unfinished = await mkdtemp(join(dataDir, 'postgres.new-'))
  if (!(await unpackSnapshot(unfinished))) await (await connect(unfinished)).close()
  await rename(unfinished, folder)
}

function jsonText(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) throw new TypeError('write an array into jsonb with JSON.stringify')
  return JSON.stringify(value)
}
