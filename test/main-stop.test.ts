/** SIGTERM while answers are being written. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { toolCall } from './http/posting.ts'
import { type ClaudeStandIn, startClaudeStandIn } from './support/claude-stand-in/server.ts'
import { connectClient, register, type TestClient, type TestUser } from './support/clients.ts'
import { type FreshDatabase, freshDatabaseOptions } from './support/databases.ts'
import { type GatewayProcess, startGatewayProcess } from './support/gateway-process.ts'
import { PATIENCE } from './support/patience.ts'

/** Each start of a process takes seconds on a busy machine. */
const PROCESS_TIMEOUT_MS = 120_000

/** More than the answer that finishes needs, and what the one that does not gets. */
const GRACE_SECONDS = 12

const SLOW = 'An answer that takes some seconds and is finished'
const STUCK = 'An answer that never ends'

describe('a gateway that is stopped', { timeout: PROCESS_TIMEOUT_MS }, () => {
  let claude: ClaudeStandIn
  let fresh: FreshDatabase
  let gateway: GatewayProcess
  let ada: TestUser
  let client: TestClient
  const log: string[] = []

  const start = (graceSeconds: number) =>
    startGatewayProcess({
      DATA_DIR: fresh.dataDir,
      ANTHROPIC_BASE_URL: claude.url,
      SHUTDOWN_GRACE_SECONDS: String(graceSeconds),
    })

  beforeAll(async () => {
    claude = await startClaudeStandIn({ chunkDelayMs: 1000, chunkSize: 8 })
    fresh = await freshDatabaseOptions('embedded')
    gateway = await start(GRACE_SECONDS)
    gateway.process.stdout?.on('data', (chunk) => log.push(String(chunk)))
    ada = await register(`${gateway.url}/mcp`)
    client = await connectClient('modern', `${gateway.url}/mcp`, ada.accessToken)
  })
  afterAll(async () => {
    await client.close()
    gateway.process.kill('SIGKILL')
    await claude.close()
    await fresh.drop()
  })

  const send = (args: object) =>
    client.call('send_message', args as Record<string, unknown>, { timeout: 30_000 })
  const newConversation = async (message: string) => {
    const { structured } = await send({ message })
    return structured.data.conversation_id as string
  }

  const conversations = async () =>
    (await client.call('get_conversations')).structured.total as number

  test('finishes what it can, records the rest, and ends with 0', async () => {
    const before = await conversations()
    const stuckIn = await newConversation('one')
    const slowIn = await newConversation('two')
    claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const stuck = send({ message: STUCK, conversation_id: stuckIn })
    await vi.waitFor(() => expect(claude.openStreams()).toBe(1), PATIENCE)
    const slow = send({ message: SLOW, conversation_id: slowIn })
    await vi.waitFor(() => expect(claude.openStreams()).toBe(2), PATIENCE)
    // A connection with an answer under way stays open, and more can be asked on it.
    const asking = asText('POST /mcp', ada.accessToken, toolCall('send_message', { message: SLOW }))
    const [line, probe] = [openLine(gateway.url, asking), openLine(gateway.url, asking)]
    await vi.waitFor(() => expect(claude.openStreams()).toBe(4), PATIENCE)

    const exit = gateway.stop()
    await expect.poll(() => log.join('')).toContain('"msg":"stopping"')
    await expect(fetch(`${gateway.url}/livez`)).rejects.toThrow()

    line.write(asText('POST /mcp', ada.accessToken, toolCall('send_message', { message: 'late' })))
    probe.write(asText('GET /readyz', ada.accessToken))
    // The late one's answer is the last on its connection, and says so.
    expect(await text(line)).toMatch(/complete.*Connection: close.*complete/s)
    expect(await text(probe)).toMatch(/complete.*503 Service Unavailable.*not ready/s)

    expect((await slow).structured.data).toMatchObject({ status: 'complete', content: SLOW })
    expect((await stuck).structured.error).toMatchObject({
      code: 'interrupted',
      retryable: true,
      details: { conversation_id: stuckIn },
    })
    expect(await exit).toBe(0)
    expect(log.join('')).toContain('"msg":"stopped"')

    expect(claude.openStreams()).toBe(0)
    await expectRecords(stuckIn, slowIn)
    // The two of the lines, and the late one.
    expect(await conversations()).toBe(before + 5)
  })

  /** What the next process finds. Its grace is longer than any test: nobody may wait for it. */
  async function expectRecords(stuckIn: string, slowIn: string) {
    await client.close()
    gateway = await start(3600)
    client = await connectClient('legacy', `${gateway.url}/mcp`, ada.accessToken)
    const statusesIn = async (conversation_id: string) => {
      const { structured } = await client.call('get_conversation_history', { conversation_id })
      return structured.messages.map(({ status }: { status: string }) => status)
    }
    const whole = ['complete', 'complete']
    expect(await statusesIn(slowIn)).toEqual([...whole, ...whole])
    expect(await statusesIn(stuckIn)).toEqual([...whole, 'interrupted', 'interrupted'])
    const again = await send({ message: 'again', conversation_id: stuckIn })
    expect(again.structured.data).toMatchObject({ status: 'complete', history: { sent: 2 } })
  }

  test('Ctrl-C says what it waits for, and a second one ends it, with what runs on record', async () => {
    claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const stuck = send({ message: STUCK })
    await vi.waitFor(() => expect(claude.openStreams()).toBe(1), PATIENCE)
    log.length = 0
    gateway.process.stdout?.on('data', (chunk) => log.push(String(chunk)))
    const said: string[] = []
    gateway.process.stderr?.on('data', (chunk) => said.push(String(chunk)))
    const exit = once(gateway.process, 'close')
    gateway.process.kill('SIGINT')
    await expect
      .poll(() => said.join(''), PATIENCE)
      .toMatch(
        /waits up to 3600 s for 1 answer that Claude is writing and 1 open request\.\s+Press Ctrl-C again/,
      )
    await expect.poll(() => log.join(''), PATIENCE).toContain('"answers":1')
    expect(claude.openStreams()).toBe(1)
    gateway.process.kill('SIGINT')
    const { error } = (await stuck).structured
    expect(error.code).toBe('interrupted')
    expect((await exit)[0]).toBe(0)
    gateway = await start(3600)
    client = await connectClient('legacy', `${gateway.url}/mcp`, ada.accessToken)
    const { message_id } = error.details
    const { structured } = await client.call('get_message', { message_id })
    expect(structured.data.status).toBe('interrupted')
  })

  test('without work it ends at once, whoever holds a connection open', async () => {
    const silent = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    const idle = openLine(gateway.url, asText('GET /livez', ada.accessToken))
    expect(String((await once(idle, 'data'))[0])).toContain('200 OK')
    expect(await gateway.stop()).toBe(0)
    silent.destroy()
    idle.destroy()
  })
})

function openLine(url: string, request: string): Socket {
  const line = connect(Number(new URL(url).port), '127.0.0.1')
  line.write(request)
  return line
}

function asText(request: string, accessToken: string, body?: object): string {
  const json = body ? JSON.stringify(body) : ''
  return [
    `${request} HTTP/1.1`,
    'Host: localhost',
    `Authorization: Bearer ${accessToken}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Content-Length: ${Buffer.byteLength(json)}`,
    '',
    json,
  ].join('\r\n')
}
