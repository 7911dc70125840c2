/** The process itself: what it says at the start, and why it does not start. */

import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { listCopies } from '../src/database/copies.ts'
import { openDatabase } from '../src/database/open.ts'
import { firstStart, freshDatabaseOptions } from './support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from './support/gateway-process.ts'

/** Each start of a process takes seconds on a busy machine. */
const PROCESS_TIMEOUT_MS = 120_000

/** What it said on standard error instead of starting, with its exit code in front. */
async function refusalOf(settings: Record<string, string>): Promise<string> {
  const outcome = await startGatewayProcess(settings).catch((error: Error) => error.message)
  if (typeof outcome === 'string') return outcome
  await outcome.stop()
  throw new Error('it started')
}

test('every wrong setting is named at once, none is repeated, and the exit code is 1', {
  timeout: PROCESS_TIMEOUT_MS,
}, async () => {
  const refusal = await refusalOf({
    DATABASE_URL: 'sqlite:///./gateway-secret.db',
    PORT: 'the-port-that-is-none',
    SESSION_TIMEOUT: 'an-hour-or-so',
    METRICS: 'token',
    TLS_CERT_FILE: '/no/such/certificate.pem',
    ENCRYPTION_KEYS_PREVIOUS: 'hunter2-hunter2',
  })
  expect(refusal).toMatch(
    /^The gateway ended with 1\. \nThe gateway could not start\. These settings/,
  )
  const named = [...refusal.matchAll(/^ {2}([A-Z_]+)/gm)].map(([, name]) => name)
  expect(named.sort()).toEqual([
    'DATABASE_URL',
    'ENCRYPTION_KEY',
    'ENCRYPTION_KEYS_PREVIOUS',
    'METRICS_TOKEN',
    'PORT',
    'SESSION_TIMEOUT',
    'TLS_KEY_FILE',
  ])
  expect(refusal).toMatch(/SQLite is not supported: remove DATABASE_URL .* or write postgres:\/\//)
  expect(refusal).toMatch(/ENCRYPTION_KEY: is required with DATABASE_URL/)
  expect(refusal).not.toMatch(
    /gateway-secret|the-port-that|an-hour|certificate\.pem|hunter2|\n\s+at /,
  )
})

test('a file or folder that cannot be used is named with its setting, and what to do', {
  timeout: PROCESS_TIMEOUT_MS,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-test-'))
  const file = join(folder, 'a-file')
  await writeFile(file, '[{"model": ')
  const gone = join(folder, 'gone.pem')
  const DATA_DIR = join(folder, 'data')
  const wrong: [Record<string, string>, string][] = [
    [{ DATA_DIR: file }, `DATA_DIR: ${file} is a file, or below one. Name a folder`],
    [{ PRICES_FILE: gone }, `PRICES_FILE: ${gone} does not exist. Correct the path`],
    [{ TLS_CERT_FILE: gone, TLS_KEY_FILE: file }, `TLS_CERT_FILE: ${gone} does not exist.`],
  ]
  const refusals = await Promise.all(
    wrong.map(([settings]) => refusalOf({ DATA_DIR, ...settings })),
  )
  for (const [index, refusal] of refusals.entries()) {
    expect(refusal).toMatch(/^The gateway ended with 1\./)
    expect(refusal).toContain(wrong[index]?.[1])
    expect(refusal).not.toMatch(/\n\s+at /)
  }
  await rm(folder, { recursive: true })
})

test('a PUBLIC_URL in plain HTTP that is not this machine is warned of, proxy or not', {
  timeout: PROCESS_TIMEOUT_MS,
}, async () => {
  const { dataDir } = await freshDatabaseOptions('embedded')
  const PUBLIC_URL = 'http://gateway.example'
  const gateway = await startGatewayProcess({ DATA_DIR: dataDir, PUBLIC_URL, TRUST_PROXY: '1' })
  await gateway.stop()
  await rm(dataDir, { recursive: true })
  expect(gateway.greeting).toMatch(
    /WARNING: PUBLIC_URL is http:\/\/gateway\.example, in plain HTTP/,
  )
  expect(gateway.greeting).toMatch(/browsers\s+refuse .* OAuth clients refuse .*https:\/\//s)
})

describe('a gateway that runs', { timeout: PROCESS_TIMEOUT_MS }, () => {
  let dataDir: string
  let gateway: GatewayProcess
  beforeAll(async () => {
    dataDir = (await firstStart()).dataDir
    gateway = await startGatewayProcess({ DATA_DIR: dataDir, HOST: '0.0.0.0' })
  })
  afterAll(async () => {
    await gateway.stop()
    await rm(dataDir, { recursive: true })
  })

  test('says where it is, where the data is, and what to type next', async () => {
    const { greeting, url } = gateway
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(greeting).toContain('Claude API Gateway is running.')
    expect(greeting).toMatch(new RegExp(`^  MCP endpoint +${url}/mcp$`, 'm'))
    expect(greeting).toMatch(new RegExp(`^  Data +${dataDir}$`, 'm'))
    expect(greeting).toContain(`claude mcp add --transport http claude ${url}/mcp`)
    const [, check = ''] = /Check +curl (\S+)/.exec(greeting) ?? []
    expect(await (await fetch(check)).json()).toMatchObject({ status: 'healthy' })
  })

  test('warns of what its database is not, and of plain HTTP beyond this machine', () => {
    expect(gateway.greeting).toMatch(/Embedded database: for one process.*back that folder up/s)
    expect(gateway.greeting).toMatch(/WARNING: listening beyond this machine in plain HTTP/)
    expect(gateway.greeting).toMatch(/TLS_CERT_FILE and TLS_KEY_FILE.*TRUST_PROXY/s)
    expect(gateway.greeting).not.toContain('PUBLIC_URL is')
  })

  test('has its folder for itself: a second one is refused with the pid that holds it', async () => {
    const refusal = await refusalOf({ DATA_DIR: dataDir })
    expect(refusal).toMatch(/^The gateway ended with 1\./)
    expect(refusal).toContain(`used by process ${gateway.process.pid}.`)
    expect(refusal).toContain('set DATA_DIR to another folder')
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200)
  })

  test('has its port for itself: a second one says so, and lets go of its folder', async () => {
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'gateway-test-'))
    const refusal = await refusalOf({ DATA_DIR, PORT: new URL(gateway.url).port })
    expect(refusal).toMatch(/^The gateway ended with 1\./)
    expect(refusal).toMatch(/EADDRINUSE.*Another program uses this port; set PORT\./)
    expect(refusal).not.toMatch(/\n\s+at /)
    const claims = join(DATA_DIR, 'gateway.lock')
    const [latest = ''] = await readdir(claims)
    expect(await readFile(join(claims, latest), 'utf8')).toBe('released')
    await rm(DATA_DIR, { recursive: true })
  })
})

test('a damaged database is gone back from to its last copy, and that is said loudly', {
  timeout: 2 * PROCESS_TIMEOUT_MS,
}, async () => {
  const fresh = await freshDatabaseOptions('embedded')
  const database = await openDatabase(fresh)
  await database.keepCopy('hourly')
  await database.close()
  await truncate(join(fresh.dataDir, 'postgres', 'global', 'pg_control'), 0)
  const gateway = await startGatewayProcess({ DATA_DIR: fresh.dataDir })
  const [copy] = await listCopies(fresh.dataDir)
  expect(gateway.greeting).toContain('WARNING: THE DATABASE WAS DAMAGED')
  expect(gateway.greeting).toContain(`of ${copy?.takenAt.toISOString()}.`)
  expect(gateway.greeting).toContain(`are kept in ${join(fresh.dataDir, 'postgres.broken-')}`)
  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200)
  await gateway.stop()
  await fresh.drop()
})
