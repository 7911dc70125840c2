/** PostgreSQL stopped and started again while answers stream, under a gateway in its own process. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { connectClient, register, type TestClient } from '../support/clients.ts'
import { runSql } from '../support/database-supplies.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { isGiven } from '../support/left-out.ts'
import {
  findServerPrograms,
  type RestartableCluster,
  startRestartableCluster,
} from '../support/restartable-cluster.ts'

const programs = findServerPrograms()
const canRun = isGiven(programs !== undefined, {
  leavesOut: 'PostgreSQL away',
  because: 'no PostgreSQL server is installed',
})
/** About three seconds at the stand-in's pace. */
const slowText = (name: string) => `${name} ${'word '.repeat(60)}`.trim()

describe.runIf(canRun)('PostgreSQL away', () => {
  let cluster: RestartableCluster
  let claude: ClaudeStandIn
  let gateway: GatewayProcess
  let client: TestClient

  beforeAll(async () => {
    cluster = await startRestartableCluster(programs as string)
    claude = await startClaudeStandIn({ chunkDelayMs: 40, chunkSize: 4 })
    gateway = await startGatewayProcess({
      DATABASE_URL: cluster.url,
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      ANTHROPIC_BASE_URL: claude.url,
      SHUTDOWN_GRACE_SECONDS: '0',
    })
    const { accessToken } = await register(`${gateway.url}/mcp`)
    client = await connectClient('legacy', `${gateway.url}/mcp`, accessToken)
  })
  afterAll(async () => {
    await client?.close()
    await gateway?.stop()
    await claude?.close()
    await cluster?.close()
  })

  const status = async (path: string) => (await fetch(`${gateway.url}${path}`)).status
  const untilAsked = (text: string) =>
    expect
      .poll(() => claude.messageRequests().some(({ body }) => body.includes(text)), {
        timeout: 10_000,
      })
      .toBe(true)

  test.each(['fast', 'immediate'] as const)(
    'stopped (%s) until after the answer: an honest error, then the answer',
    async (mode) => {
      const message = slowText(`outage ${mode}`)
      const sending = client.call('send_message', { message, tag: mode })
      await untilAsked(message)
      await cluster.halt(mode)
      expect(await status('/readyz')).toBe(503)
      expect(await status('/livez')).toBe(200)

      const failed = await sending
      expect(failed.structured.error).toMatchObject({
        code: 'database_unavailable',
        retryable: true,
        details: { message_id: expect.any(String), conversation_id: expect.any(String) },
      })
      const { message_id, conversation_id } = failed.structured.error.details
      const meanwhile = await client.call('get_message', { message_id })
      expect(meanwhile.structured.error.code).toBe('database_unavailable')
      expect(gateway.process.exitCode).toBeNull()

      await cluster.start()
      await expect.poll(() => status('/readyz')).toBe(200)
      const got = await client.call('get_message', { message_id, wait_seconds: 20 })
      expect(got.structured.data).toMatchObject({ status: 'complete', content: message })
      expect(got.structured.data.usage.output_tokens).toBeGreaterThan(0)
      const usage = await client.call('get_usage', { group_by: 'tag' })
      expect(usage.structured.data.rows).toContainEqual(
        expect.objectContaining({ key: mode, calls: 1, estimated_calls: 0 }),
      )
      const budget = await client.call('get_budget')
      expect(budget.structured.data.budgets[0].reserved_tokens).toBe(0)
      const next = await client.call('send_message', { message: 'and on', conversation_id })
      expect(next.structured.data).toMatchObject({ status: 'complete', history: { sent: 2 } })
    },
  )

  test('read-only until after the answer, as a standby is: the same', async () => {
    const message = slowText('read-only')
    const sending = client.call('send_message', { message, tag: 'read-only' })
    await untilAsked(message)
    const setReadOnly = async (value: 'on' | 'off') => {
      await runSql(cluster.url, `alter system set default_transaction_read_only = ${value}`)
      await runSql(cluster.url, 'select pg_reload_conf()')
    }
    await setReadOnly('on')
    await expect.poll(() => status('/readyz')).toBe(503)
    const refused = await client.call('send_message', { message: 'not now' })
    expect(refused.structured.error).toMatchObject({
      code: 'database_unavailable',
      retryable: true,
      retry_after_seconds: expect.any(Number),
    })
    const failed = await sending
    expect(failed.structured.error).toMatchObject({
      code: 'database_unavailable',
      details: { message_id: expect.any(String) },
    })

    await setReadOnly('off')
    await expect.poll(() => status('/readyz')).toBe(200)
    const { message_id } = failed.structured.error.details
    const got = await client.call('get_message', { message_id, wait_seconds: 20 })
    expect(got.structured.data).toMatchObject({ status: 'complete', content: message })
    const usage = await client.call('get_usage', { group_by: 'tag' })
    expect(usage.structured.data.rows).toContainEqual(
      expect.objectContaining({ key: 'read-only', calls: 1, estimated_calls: 0 }),
    )
  })

  test('back before the answer ends: its caller does not notice', async () => {
    // As long as a server takes to come back on a slow machine.
    const message = slowText('short outage ').repeat(4).trim()
    const sending = client.call('send_message', { message })
    await untilAsked(message)
    await cluster.halt('immediate')
    await cluster.start()
    expect((await sending).structured.data).toMatchObject({ status: 'complete', content: message })
  })
})
