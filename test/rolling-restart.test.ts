/** Two replicas behind a load balancer, stopped and started in turn while everybody goes on. */

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { postCall, resultIn } from './mcp/raw-call.ts'
import { type ClaudeStandIn, startClaudeStandIn } from './support/claude-stand-in/server.ts'
import { type Era, register, type TestUser } from './support/clients.ts'
import { databaseKinds, type FreshDatabase, freshDatabaseOptions } from './support/databases.ts'
import { freePort } from './support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from './support/gateway-process.ts'
import { type Haproxy, hasHaproxy, startHaproxy } from './support/haproxy.ts'
import { PATIENCE } from './support/patience.ts'

const CALLERS = 24
const USERS = 4
const ROUNDS = 2
/** Many times what HAProxy needs for two checks that fail. */
const DRAIN_SECONDS = '3'
const TIMEOUT_MS = 240_000

const canRun = hasHaproxy && databaseKinds.includes('postgresql')

describe.runIf(canRun)('a rolling restart', { timeout: TIMEOUT_MS }, () => {
  let claude: ClaudeStandIn
  let fresh: FreshDatabase
  let haproxy: Haproxy
  let settings: Record<string, string>
  const ports: number[] = []
  const replicas: GatewayProcess[] = []
  const users: TestUser[] = []

  const start = async (replica: number) => {
    const PORT = String(ports[replica])
    replicas[replica] = await startGatewayProcess({ ...settings, PORT })
    const isUp = async () => expect(await haproxy.isUp(replica)).toBe(true)
    await vi.waitFor(isUp, { ...PATIENCE, interval: 100 })
  }

  beforeAll(async () => {
    claude = await startClaudeStandIn({ chunkDelayMs: 40, chunkSize: 8 })
    fresh = await freshDatabaseOptions('postgresql')
    for (let i = 0; i < 3; i++) ports.push(await freePort())
    const servers = ports.slice(0, 2).map((port) => `http://127.0.0.1:${port}`)
    haproxy = await startHaproxy(ports[2] as number, servers)
    settings = {
      DATABASE_URL: fresh.url as string,
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      ANTHROPIC_BASE_URL: claude.url,
      PUBLIC_URL: haproxy.url,
      DRAIN_SECONDS,
      REQUESTS_PER_MINUTE: '1000000',
      ANONYMOUS_REQUESTS_PER_MINUTE: '1000000',
      LOG_LEVEL: 'info',
    }
    await Promise.all([start(0), start(1)])
    for (let i = 0; i < USERS; i++) users.push(await register(`${haproxy.url}/mcp`))
  })
  afterAll(async () => {
    for (const replica of replicas) replica.process.kill('SIGKILL')
    await haproxy?.close()
    await claude?.close()
    await fresh?.drop()
  })

  /** What one caller does again and again; all of it has to succeed. */
  async function callOn(number: number, failures: string[], signal: AbortSignal): Promise<number> {
    const era: Era = number % 2 === 0 ? 'modern' : 'legacy'
    const { accessToken } = users[number % USERS] as TestUser
    const call = (tool: string, args: object) =>
      ask(`${haproxy.url}/mcp`, era, accessToken, tool, args)
    let calls = 0
    while (!signal.aborted) {
      try {
        const message = 'word '.repeat(1 + ((number * 7 + calls) % 40)).trim()
        const sent = await call('send_message', { message, wait_seconds: calls % 3 === 0 ? 0 : 60 })
        const { message_id, conversation_id } = sent
        const got = await call('get_message', { message_id, wait_seconds: 60 })
        const isTold = got.status === 'running' || got.content === message
        if (!isTold) failures.push(`get_message: ${JSON.stringify(got)}`)
        await call('get_conversation_history', { conversation_id })
        calls += 3
      } catch (error) {
        failures.push(String(error))
        await sleep(100)
      }
    }
    return calls
  }

  test('fails no call', async () => {
    const failures: string[] = []
    const over = new AbortController()
    const callers = Array.from({ length: CALLERS }, (_, i) => callOn(i, failures, over.signal))
    try {
      for (let round = 0; round < ROUNDS; round++) {
        for (const replica of [0, 1]) {
          expect(await (replicas[replica] as GatewayProcess).stop()).toBe(0)
          await start(replica)
        }
      }
    } finally {
      over.abort()
    }
    const calls = (await Promise.all(callers)).reduce((sum, count) => sum + count, 0)
    expect(failures).toEqual([])
    expect(calls).toBeGreaterThan(CALLERS * 2 * ROUNDS)
  })
})

/** @throws Error for everything but a success. */
async function ask(url: string, era: Era, accessToken: string, tool: string, args: object) {
  const headers = { Authorization: `Bearer ${accessToken}` }
  const fields = args as Record<string, unknown>
  const response = await postCall(url, era, tool, fields, { headers }).catch((error: Error) => {
    throw new Error(`${tool}: ${error.message} ${error.cause}`)
  })
  const body = await response.text().catch((error: Error) => {
    throw new Error(`${tool}: cut, ${error.message} ${error.cause}`)
  })
  if (response.status !== 200) throw new Error(`${tool}: HTTP ${response.status} ${body}`)
  const result = resultIn(body)
  if (!result?.success && result?.messages === undefined) throw new Error(`${tool}: ${body}`)
  return result.data
}
