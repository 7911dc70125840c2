/** What becomes of an answer when its caller stops waiting: by time, by leaving, by coming back. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import {
  type Era,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'
import { postCall } from './raw-call.ts'

/** About a second and a half at the stand-in's pace. */
const slowText = (name: string) => `${name} ${'word '.repeat(30)}`.trim()

describeDatabases('callers that stop waiting', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient
  /** Its caller leaves in the beginning and does not come back; looked at in the end. */
  let abandoned: string

  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkDelayMs: 40, chunkSize: 4 } })
    user = await app.register()
    client = await app.connect('modern', user.accessToken)
  })
  afterAll(() => app?.close())

  const get = async (message_id: string, wait_seconds = 0) =>
    (await client.call('get_message', { message_id, wait_seconds })).structured.data

  const askedFor = (text: string) =>
    app.claude.messageRequests().filter(({ body }) => body.includes(text)).length

  const usageOf = async (tag: string) =>
    (await client.call('get_usage', { group_by: 'tag' })).structured.data.rows.find(
      ({ key }: { key: string }) => key === tag,
    )

  /** The id of the newest answer whose question is `message`, as any client can find it. */
  async function findAnswer(message: string): Promise<string | undefined> {
    const listed = await client.call('get_conversations', { limit: 50 })
    for (const { id } of listed.structured.conversations) {
      const read = await client.call('get_conversation_history', { conversation_id: id })
      const [question, answer] = read.structured.messages
      if (question.content === message) return answer.id
    }
    return undefined
  }

  /** Breaks the connection of a send once there is some text. @returns the message id. */
  async function sendAndLeave(era: Era, args: { message: string; [name: string]: unknown }) {
    const connection = new AbortController()
    const lost = postCall(app.url, era, 'send_message', args, {
      headers: { Authorization: `Bearer ${user.accessToken}` },
      signal: connection.signal,
    }).then((response) => response.text())
    lost.catch(() => {})
    await expect.poll(() => askedFor(args.message)).toBe(1)
    const messageId = (await findAnswer(args.message)) as string
    const text = async () => (await get(messageId)).content
    await expect.poll(text, { interval: 50 }).not.toBe('')
    connection.abort()
    await expect(lost).rejects.toThrow()
    return messageId
  }

  test('2026 era: with a key a lost stream does not cancel at once', async () => {
    app.claude.script({ kind: 'stream_stall', afterChunks: 3 })
    const args = { message: slowText('abandoned'), idempotency_key: 'abandoned', tag: 'abandoned' }
    abandoned = await sendAndLeave('modern', args)
    expect((await get(abandoned, 1)).status).toBe('running')
  })

  test('wait_seconds is 0 to 300, and 50 when left out', async () => {
    const { tools } = await client.raw.listTools()
    const send = tools.find(({ name }) => name.endsWith('_send_message'))
    expect(send?.inputSchema.properties?.wait_seconds).toMatchObject({
      ...{ type: 'number', minimum: 0, maximum: 300, default: 50 },
    })
    for (const wait_seconds of [-1, 301]) {
      const refused = await client.call('send_message', { message: 'never', wait_seconds })
      expect(refused.structured.error).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['wait_seconds'] },
      })
    }
    expect(askedFor('never')).toBe(0)
  })

  test.each([undefined, 300])('wait_seconds %s ends with the answer', async (wait_seconds) => {
    const message = slowText(`wait ${wait_seconds}`)
    const sent = await client.call('send_message', { message, wait_seconds })
    expect(sent.structured.data).toMatchObject({ status: 'complete', content: message })
  })

  test('wait_seconds running out is a success that shows the text so far', async () => {
    const message = slowText('runs on')
    const sent = await client.call('send_message', { message, wait_seconds: 0.5, tag: 'runs on' })
    expect(sent.structured).toMatchObject({
      success: true,
      data: { status: 'running', replayed: false, usage: null, cost_usd: null, stop_reason: null },
    })
    const { message_id, content } = sent.structured.data
    expect(content).not.toBe('')
    expect(message.startsWith(content)).toBe(true)
    const progress: number[] = []
    const got = await client.call(
      'get_message',
      { message_id, wait_seconds: 60 },
      { onprogress: (said) => progress.push(said.progress) },
    )
    expect(got.structured.data).toMatchObject({
      ...{ status: 'complete', content: message, error_code: null, stop_reason: 'end_turn' },
      usage: { output_tokens: expect.any(Number) },
    })
    expect(progress.length).toBeGreaterThan(0)
    expect(await usageOf('runs on')).toMatchObject({ calls: 1, estimated_calls: 0 })
  })

  test('2025 era: a client that disconnects leaves the answer to go on', async () => {
    const message = slowText('legacy leaves')
    const messageId = await sendAndLeave('legacy', { message, tag: 'legacy leaves' })
    expect(await get(messageId, 60)).toMatchObject({ status: 'complete', content: message })
    expect(await usageOf('legacy leaves')).toMatchObject({ calls: 1, estimated_calls: 0 })
  })

  test('2026 era: a lost stream that is repeated with its key pays once', async () => {
    const args = { message: slowText('comes back'), idempotency_key: 'back', tag: 'comes back' }
    const messageId = await sendAndLeave('modern', args)
    const repeated = await client.call('send_message', args)
    expect(repeated.structured.data).toMatchObject({
      ...{ status: 'complete', content: args.message, replayed: true, message_id: messageId },
    })
    expect(askedFor(args.message)).toBe(1)
    expect(await usageOf('comes back')).toMatchObject({ calls: 1, estimated_calls: 0 })
  })

  test('2026 era: closing the stream cancels, keeps the text and books it', async () => {
    const message = slowText('modern leaves')
    const aborted = app.claude.abortedStreams()
    const messageId = await sendAndLeave('modern', { message, tag: 'modern leaves' })
    const ended = await get(messageId, 20)
    expect(app.claude.abortedStreams()).toBeGreaterThan(aborted)
    expect(ended).toMatchObject({ status: 'cancelled', error_code: 'cancelled' })
    expect(ended.content).not.toBe('')
    expect(message.startsWith(ended.content)).toBe(true)
    expect(ended.content.length).toBeLessThan(message.length)
    expect(await usageOf('modern leaves')).toMatchObject({ calls: 1, estimated_calls: 1 })
    const { conversation_id } = ended
    const next = await client.call('send_message', { message: 'and on', conversation_id })
    expect(next.structured.data).toMatchObject({ status: 'complete', history: { sent: 0 } })
  })

  test('2026 era: with a key it is cancelled too when nobody comes back', async () => {
    const ended = await get(abandoned, 25)
    expect(ended).toMatchObject({ status: 'cancelled', error_code: 'cancelled' })
    expect(ended.content).toBe(slowText('abandoned').slice(0, ended.content.length))
    expect(ended.content).not.toBe('')
    expect(await usageOf('abandoned')).toMatchObject({ calls: 1, estimated_calls: 1 })
    const late = await client.call('send_message', {
      ...{ message: slowText('abandoned'), idempotency_key: 'abandoned', tag: 'abandoned' },
    })
    expect(late.structured.error).toMatchObject({
      ...{ code: 'cancelled', retryable: false, details: { message_id: abandoned } },
    })
    expect(askedFor('abandoned')).toBe(1)
  })

  test("another user's answer does not exist", async () => {
    const other = await app.connect('legacy', (await app.register()).accessToken)
    for (const tool of ['get_message', 'cancel_message']) {
      const refused = await other.call(tool, { message_id: abandoned })
      expect(refused.structured.error.code).toBe('not_found')
    }
  })
})
