/** Fresh databases for tests, of every kind this run has. */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { describe, inject } from 'vitest'
import { runSql, type Supply, withDatabase } from './database-supplies.ts'
import { scratchFolder } from './scratch-folder.ts'

export type DatabaseKind = 'embedded' | 'postgresql'

/** For openDatabase; call drop() after closing it. */
export type FreshDatabase = { url?: string; dataDir: string; drop(): Promise<void> }

/** Embedded always; PostgreSQL where TEST_DATABASE_URL or an installed server gives one. */
const databaseKinds: readonly DatabaseKind[] = inject('databaseKinds')

/** Where it is false the run says so in its last lines (global-setup.ts). */
export const hasPostgresql = databaseKinds.includes('postgresql')

/** The same tests once per kind of database, each in a `describe` of its own. */
export function describeDatabases(name: string, body: (kind: DatabaseKind) => void): void {
  describe.each(databaseKinds)(`${name} (%s)`, body)
}

/** A database of its own, migrated and empty. The embedded one is as after a first start. */
export async function freshDatabaseOptions(kind: DatabaseKind): Promise<FreshDatabase> {
  const { adminUrl, template } = await ask(kind)
  const { dataDir, drop: removeFolder } = await emptyDataDir()
  if (kind === 'embedded') {
    await promisify(execFile)('cp', ['-R', template, join(dataDir, 'postgres')])
    return { dataDir, drop: removeFolder }
  }
  const name = `gateway_test_${randomBytes(6).toString('hex')}`
  await runSql(adminUrl, `create database ${name} template ${template}`)
  return {
    url: withDatabase(adminUrl, name),
    dataDir,
    async drop() {
      await runSql(adminUrl, `drop database ${name} with (force)`)
      await removeFolder()
    },
  }
}

/** Where openDatabase makes the embedded database itself, from the snapshot this makes sure of. */
export async function firstStart(): Promise<FreshDatabase> {
  await ask('embedded')
  return emptyDataDir()
}

async function emptyDataDir(): Promise<FreshDatabase> {
  const dataDir = await mkdtemp(join(scratchFolder(), 'gateway-test-'))
  return { dataDir, drop: () => rm(dataDir, { recursive: true, force: true }) }
}

/** Waits until this run's database of that kind is ready for use. */
async function ask(kind: DatabaseKind): Promise<Supply> {
  const answer = await new Promise<unknown>((resolve, reject) => {
    get(`${inject('databaseDesk')}/${kind}`, (response) => resolve(json(response))).on(
      'error',
      reject,
    )
  })
  const supply = answer as Supply & { error?: string }
  if (supply.error) throw new Error(supply.error)
  return supply
}
