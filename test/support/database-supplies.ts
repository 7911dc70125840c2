/** What the database tests of one run need, made once: the snapshot, and a migrated template. */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { KEY_FILE, unpackSnapshot } from '../../src/database/embedded/snapshot-store.ts'
import { migrateToLatest } from '../../src/database/migrations/migrate.ts'
import { openDatabase } from '../../src/database/open.ts'
import { type PostgresqlSource, startCluster } from './postgresql-cluster.ts'
import { scratchFolder } from './scratch-folder.ts'

const CACHE = 'node_modules/.cache/claude-api-gateway'

export type Prepared = {
  /** For people. */
  name: string
  /** Sent to the workers as JSON. */
  supply: Supply
  drop(): Promise<void>
}

export type Supply = {
  /** A migrated, empty database to copy: its name, or the folder of the embedded one. */
  template: string
  /** Of a role that may create databases in PostgreSQL. */
  adminUrl: string
}

/** In another process: initdb takes 900 MB and keeps its thread busy for seconds. */
export async function prepareEmbedded(): Promise<Prepared> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const command = ['--import', 'tsx', 'src/database/build-snapshot.ts', CACHE]
  await promisify(execFile)(process.execPath, command, { cwd: root })
  const text = await readFile(join(root, CACHE, KEY_FILE), 'utf8')
  const { pglite, postgresql } = JSON.parse(text) as { pglite: string; postgresql: string }
  const name = `embedded PGlite ${pglite} (PostgreSQL ${postgresql})`
  const template = await mkdtemp(join(scratchFolder(), 'gateway-template-'))
  await unpackSnapshot(template)
  const drop = () => rm(template, { recursive: true })
  return { name, supply: { template, adminUrl: '' }, drop }
}

export async function preparePostgresql(source: PostgresqlSource | undefined): Promise<Prepared> {
  if (!source) throw new Error('this run has no PostgreSQL')
  if ('url' in source) return prepareServer(source.url, '', async () => {})
  const cluster = await startCluster(source)
  return prepareServer(cluster.url, ' (throw-away)', cluster.stop)
}

async function prepareServer(adminUrl: string, remark: string, stop: () => Promise<void>) {
  const template = `gateway_template_${process.pid}`
  const drop = async () => {
    await runSql(adminUrl, `drop database if exists ${template} with (force)`)
    await stop()
  }
  try {
    await runSql(adminUrl, `create database ${template}`)
    await migrate(withDatabase(adminUrl, template))
    const [row] = await runSql(adminUrl, 'show server_version')
    const version = String(row?.server_version).split(' ')[0]
    return { name: `PostgreSQL ${version}${remark}`, supply: { adminUrl, template }, drop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function migrate(url: string): Promise<void> {
  const database = await openDatabase({ url, dataDir: '' })
  await migrateToLatest(database.db, database.kind)
  await database.close()
}

/** One statement on a connection of its own. */
export async function runSql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

export function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
