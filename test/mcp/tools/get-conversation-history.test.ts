import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { describeDatabases } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

type Row = { id: string; content: string; role: string }

describeDatabases('get_conversation_history', (kind) => {
  let app: TestApp
  let client: TestClient
  let conversationId: string

  beforeAll(async () => {
    app = await startApp({ kind })
    const { accessToken } = await app.register()
    client = await app.connect('modern', accessToken)
    for (const message of ['one', 'two', 'three', 'four']) {
      const continued = conversationId ? { conversation_id: conversationId } : {}
      const sent = await client.call('send_message', { message, ...continued })
      conversationId = sent.structured.data.conversation_id
    }
  })
  afterAll(() => app.close())

  const page = async (args: Record<string, unknown> = {}) =>
    (
      await client.call('get_conversation_history', {
        conversation_id: conversationId,
        ...args,
      })
    ).structured

  test('is whole and oldest first by default, and the text block is the rows alone', async () => {
    const answer = await client.call('get_conversation_history', {
      conversation_id: conversationId,
    })
    const { messages, total, next_before } = answer.structured
    expect(messages.map(({ role, content }: Row) => `${role}: ${content}`)).toEqual(
      ['one', 'two', 'three', 'four'].flatMap((text) => [`user: ${text}`, `assistant: ${text}`]),
    )
    expect([total, next_before]).toEqual([8, null])
    expect(JSON.parse(answer.text)).toEqual(messages)
  })

  test('every row has exactly these fields', async () => {
    const { messages } = await page({ limit: 2 })
    const shared = {
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      content: 'four',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      token_count: expect.any(Number),
      model_used: 'claude-sonnet-5-5',
      status: 'complete',
      error_code: null,
    }
    expect(messages).toEqual([
      { ...shared, role: 'user', author: expect.stringMatching(/^user-/), paid_by: null },
      {
        ...shared,
        role: 'assistant',
        author: null,
        paid_by: { kind: 'own', key_last_four: expect.stringMatching(/^.{4}$/) },
      },
    ])
    const [question, answer] = messages
    expect(Date.parse(answer.timestamp)).toBeGreaterThanOrEqual(Date.parse(question.timestamp))
    // Four bytes: the stand-in bills them as one token, the estimate says two.
    expect([question.token_count, answer.token_count]).toEqual([2, 1])
  })

  test.each([1, 2, 3, 5, 8])('pages of %d, from the newest back, are the whole', async (limit) => {
    let rows: Row[] = []
    let before: string | null = null
    do {
      const { messages, total, next_before } = await page({ limit, ...(before ? { before } : {}) })
      expect(total).toBe(8)
      expect(messages.length).toBeLessThanOrEqual(limit)
      rows = [...messages, ...rows]
      before = next_before
    } while (before)
    expect(rows).toEqual((await page()).messages)
  })

  test('before without a limit is everything older', async () => {
    const { messages } = await page()
    const { messages: older, next_before } = await page({ before: messages[5].id })
    expect(older).toEqual(messages.slice(0, 5))
    expect(next_before).toBeNull()
    expect((await page({ before: messages[0].id })).messages).toEqual([])
  })

  test('a message of another conversation is no place in this one', async () => {
    const other = await client.call('send_message', { message: 'elsewhere' })
    for (const before of [other.structured.data.message_id, newId()]) {
      const { error } = await page({ before })
      expect(error).toMatchObject({ code: 'not_found', details: { field: 'before' } })
    }
  })

  test('another user’s conversation does not exist', async () => {
    const { accessToken } = await app.register()
    const stranger = await app.connect('legacy', accessToken)
    const read = (conversation_id: string) =>
      stranger.call('get_conversation_history', { conversation_id })
    const [theirs, nobodys] = [await read(conversationId), await read(newId())]
    expect(theirs).toEqual(nobodys)
    expect(theirs.structured.error).toMatchObject({
      code: 'not_found',
      retryable: false,
      details: { field: 'conversation_id' },
    })
  })

  test('a turn under way is shown as running, then as what became of it', async () => {
    app.claude.reset()
    app.claude.script({ kind: 'stream_stall', afterChunks: 0 })
    const controller = new AbortController()
    const sending = client
      .call(
        'send_message',
        { message: 'five', conversation_id: conversationId },
        { signal: controller.signal },
      )
      .catch(() => {})
    await vi.waitUntil(() => app.claude.openStreams() === 1, PATIENCE)
    const running = await page({ limit: 2 })
    expect(running.messages).toMatchObject([
      { role: 'user', content: 'five', status: 'running', error_code: null },
      { role: 'assistant', content: '', status: 'running', error_code: null },
    ])
    controller.abort()
    await sending
    await vi.waitFor(
      async () =>
        expect((await page({ limit: 2 })).messages).toMatchObject([
          { status: 'cancelled', error_code: null },
          { status: 'cancelled', error_code: 'cancelled' },
        ]),
      PATIENCE,
    )
  })
})
