/** Two replicas behind a load balancer, stopped and started in turn while everybody goes on. */

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { postCall, resultIn } from './mcp/raw-call.ts'
import { startClaudeStandIn } from './support/claude-stand-in/server.ts'
import { type Era, register, type TestUser } from './support/clients.ts'
import { freshDatabaseOptions, hasPostgresql } from './support/databases.ts'
import { freePort } from './support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from './support/gateway-process.ts'
import { hasHaproxy, startHaproxy } from './support/haproxy.ts'
import { PATIENCE } from './support/patience.ts'

const CALLERS = 24
const USERS = 4
const ROUNDS = 2
/** Many times what HAProxy needs for two checks that fail. */
const DRAIN_SECONDS = '3'
const TIMEOUT_MS = 240_000

const canRun = hasHaproxy && hasPostgresql

/** All that one try needs: a second try must not find what the first one left. */
async function buildSite(opened: (() => unknown)[]) {
  const claude = await startClaudeStandIn({ chunkDelayMs: 40, chunkSize: 8 })
  opened.push(() => claude.close())
  const fresh = await freshDatabaseOptions('postgresql')
  opened.push(() => fresh.drop())
  const ports = [await freePort(), await freePort()]
  const servers = ports.map((port) => `http://127.0.0.1:${port}`)
  const haproxy = await startHaproxy(await freePort(), servers)
  opened.push(() => haproxy.close())
  const settings = {
    DATABASE_URL: fresh.url as string,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    ANTHROPIC_BASE_URL: claude.url,
    PUBLIC_URL: haproxy.url,
    DRAIN_SECONDS,
    REQUESTS_PER_MINUTE: '1000000',
    MESSAGES_API_REQUESTS_PER_MINUTE: '1000000',
    ANONYMOUS_REQUESTS_PER_MINUTE: '1000000',
    LOG_LEVEL: 'info',
  }
  const replicas: GatewayProcess[] = []
  const start = async (replica: number) => {
    const started = await startGatewayProcess({ ...settings, PORT: String(ports[replica]) })
    replicas[replica] = started
    opened.push(() => started.process.kill('SIGKILL'))
    const isUp = async () => expect(await haproxy.isUp(replica)).toBe(true)
    await vi.waitFor(isUp, { ...PATIENCE, interval: 100 })
  }
  await Promise.all([start(0), start(1)])
  const users: TestUser[] = []
  for (let i = 0; i < USERS; i++) users.push(await register(`${haproxy.url}/mcp`))
  const restart = async (replica: number) => {
    expect(await (replicas[replica] as GatewayProcess).stop()).toBe(0)
    await start(replica)
  }
  return { url: `${haproxy.url}/mcp`, users, restart }
}

type Site = Awaited<ReturnType<typeof buildSite>>

/** What one caller does again and again; all of it has to succeed. @returns how many calls it made. */
async function callOn(
  { url, users }: Site,
  number: number,
  failures: string[],
  signal: AbortSignal,
): Promise<number> {
  const era: Era = number % 2 === 0 ? 'modern' : 'legacy'
  const { accessToken } = users[number % USERS] as TestUser
  const call = (tool: string, args: object) => ask(url, era, accessToken, tool, args)
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

async function restartInTurn(site: Site) {
  const failures: string[] = []
  const over = new AbortController()
  const callers = Array.from({ length: CALLERS }, (_, i) => callOn(site, i, failures, over.signal))
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const replica of [0, 1]) await site.restart(replica)
    }
  } finally {
    over.abort()
    await Promise.all(callers)
  }
  const calls = (await Promise.all(callers)).reduce((sum, count) => sum + count, 0)
  return { failures, calls }
}

test.runIf(canRun)('a rolling restart fails no call', { timeout: TIMEOUT_MS }, async () => {
  const opened: (() => unknown)[] = []
  try {
    const { failures, calls } = await restartInTurn(await buildSite(opened))
    expect(failures).toEqual([])
    expect(calls).toBeGreaterThan(CALLERS * 2 * ROUNDS)
  } finally {
    for (const close of opened.reverse()) await close()
  }
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
