/** A PostgreSQL server of this run: fsync and synchronous_commit on, everything else as it comes. */

import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { findPostgresql, startCluster } from '../../test/support/postgresql-cluster.ts'
import { onExit } from './cleanup.ts'

export type BenchCluster = {
  version: string
  /** Of the server's first process; undefined for one that runs elsewhere. */
  pid: number | undefined
  createDatabase(): Promise<string>
}

/** @throws Error when the server is not durable, or there is none. */
export async function startThrowAwayCluster(): Promise<BenchCluster> {
  const source = findPostgresql(process.env)
  if (!source) throw new Error('PostgreSQL is needed: install it, or set TEST_DATABASE_URL')
  const url = 'url' in source ? source.url : await start(source.binaries)
  const [settings] = await runSql(
    url,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as commit, current_setting('data_directory') as folder`,
  )
  if (settings?.fsync !== 'on' || settings.commit !== 'on') {
    throw new Error('the PostgreSQL server must have fsync and synchronous_commit on')
  }
  return {
    version: String(settings.version).split(' ')[0] ?? '',
    pid: pidOf(String(settings.folder)),
    async createDatabase() {
      const name = `gateway_bench_${randomBytes(5).toString('hex')}`
      await runSql(url, `create database ${name}`)
      onExit(() => runSql(url, `drop database ${name} with (force)`))
      const database = new URL(url)
      database.pathname = `/${name}`
      return database.href
    },
  }
}

async function start(binaries: string): Promise<string> {
  const cluster = await startCluster({ binaries, fsync: true })
  onExit(() => cluster.stop())
  return cluster.url
}

function pidOf(folder: string): number | undefined {
  try {
    return Number(readFileSync(`${folder}/postmaster.pid`, 'latin1').split('\n')[0])
  } catch {
    return undefined
  }
}

async function runSql(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}
