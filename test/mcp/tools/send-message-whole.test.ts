/** A turn is whole or absent: what did not come to anything leaves nothing behind. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from '../../support/claude-stand-in/faults.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

const FREE_ENDS: Record<string, { faults: Fault[]; status: string }> = {
  'a wrong model': { faults: [{ kind: 'status', status: 404 }], status: 'failed' },
  'a rejected key': { faults: [{ kind: 'status', status: 401 }], status: 'failed' },
  'a rate limit': { faults: [{ kind: 'status', status: 429, retryAfter: 60 }], status: 'failed' },
  'a system prompt that Anthropic refuses': {
    faults: [{ kind: 'status', status: 400 }],
    status: 'failed',
  },
  'an outage': {
    faults: [
      { kind: 'status', status: 529 },
      { kind: 'status', status: 529 },
    ],
    status: 'failed',
  },
}

describeDatabases('a turn that is not billed', (kind) => {
  let app: TestApp
  let client: TestClient
  let userId: string
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  beforeEach(async () => {
    app.claude.reset()
    const user = await app.register()
    userId = user.userId
    client = await app.connect('modern', user.accessToken)
  })
  afterAll(() => app.close())

  const send = async (args: Record<string, unknown>) =>
    (await client.call('send_message', { message: 'Hello.', ...args })).structured
  const listed = async () => (await client.call('get_conversations')).structured
  const rowsOf = async (conversation_id: string) =>
    (await client.call('get_conversation_history', { conversation_id })).structured.messages
  const db = () => app.app.repositories
  const lastSystem = () => {
    const json = app.claude.messageRequests().at(-1)?.json as { system?: { text: string }[] }
    return json.system?.map(({ text }) => text)
  }

  test.each(Object.entries(FREE_ENDS))('%s leaves no text and no conversation', async (_, end) => {
    app.claude.script(...end.faults)
    const { error } = await send({
      message: 'SECRET TITLE',
      system_prompt: 'SECRET PROMPT',
      tag: 'SECRET TAG',
      idempotency_key: 'k',
    })
    const { conversation_id, message_id } = error.details
    expect(await listed()).toMatchObject({ conversations: [], total: 0 })
    expect(await db().storage.bytes(userId)).toBeLessThan(100)
    expect(await rowsOf(conversation_id)).toMatchObject([
      { content: '', status: end.status, error_code: null },
      { content: '', status: end.status, error_code: error.code, id: message_id },
    ])
    const { data } = (await client.call('get_message', { message_id })).structured
    expect(data).toMatchObject({ content: '', status: end.status, error_code: error.code })
    expect(JSON.stringify(await exported())).not.toMatch(/SECRET/)
    const metrics = await client.raw.readResource({ uri: 'mcp://claude-api-gateway/metrics' })
    expect(JSON.stringify(metrics)).toContain('\\"total_conversations\\":0')

    // The key is free again, and the conversation is the caller's to go on with.
    const next = await send({ message: 'A new title.', conversation_id, idempotency_key: 'k' })
    expect(next.data).toMatchObject({ replayed: false, history: { sent: 0, omitted: 0 } })
    expect(lastSystem()).toBeUndefined()
    expect(await listed()).toMatchObject({
      conversations: [{ id: conversation_id, title: 'A new title.', message_count: 4 }],
      total: 1,
    })
  })

  const exported = async () => {
    const { data } = (await client.call('export_my_data')).structured
    const { conversations, messages } = data
    const found = data.data.conversations as { messages: unknown[] }[]
    expect([found.length, found.flatMap((one) => one.messages).length]).toEqual([
      conversations,
      messages,
    ])
    return data.data
  }

  test('a later turn that fails changes nothing of its conversation', async () => {
    const { data } = await send({ message: 'First.', system_prompt: 'Be brief.' })
    const { conversation_id } = data
    const before = (await listed()).conversations[0]
    app.claude.script({ kind: 'status', status: 400 })
    await send({ conversation_id, message: 'SECRET', system_prompt: 'Be long.', model: 'opus' })
    const after = (await listed()).conversations[0]
    expect(after).toEqual({ ...before, message_count: 4, updated_at: after.updated_at })
    expect(await rowsOf(conversation_id)).toMatchObject([
      { content: 'First.', status: 'complete' },
      { status: 'complete' },
      { content: '', status: 'failed' },
      { content: '', status: 'failed' },
    ])
    await send({ conversation_id })
    expect(lastSystem()).toEqual(['Be brief.'])
  })

  test('a new system prompt is the conversation’s once its answer is there, and so is its end', async () => {
    const { conversation_id } = (await send({ system_prompt: 'One.' })).data
    await send({ conversation_id })
    expect(lastSystem()).toEqual(['One.'])
    await send({ conversation_id, system_prompt: 'Two.' })
    await send({ conversation_id })
    expect(lastSystem()).toEqual(['Two.'])
    app.claude.script({ kind: 'stream_drop', afterChunks: 1 })
    await send({ conversation_id, system_prompt: 'Three.' })
    await send({ conversation_id })
    expect(lastSystem(), 'a broken answer is not one').toEqual(['Two.'])
    app.claude.script({ kind: 'status', status: 400 })
    await send({ conversation_id, system_prompt: '' })
    await send({ conversation_id })
    expect(lastSystem()).toEqual(['Two.'])
    await send({ conversation_id, system_prompt: '' })
    await send({ conversation_id })
    expect(lastSystem()).toBeUndefined()
  })

  test('what was billed keeps its text, and its conversation is listed', async () => {
    app.claude.script({ kind: 'stream_drop', afterChunks: 1 })
    const { error } = await send({ message: 'A question.' })
    expect((await listed()).conversations).toMatchObject([
      { id: error.details.conversation_id, title: 'A question.' },
    ])
    expect(await rowsOf(error.details.conversation_id)).toMatchObject([
      { content: 'A question.', status: 'failed' },
      { status: 'failed' },
    ])
  })

  test('a refusal before any output costs nothing and leaves nothing', async () => {
    app.claude.script({ kind: 'reply', reply: { refusalCategory: 'cyber' } })
    const { data } = await send({
      message: 'SECRET',
      system_prompt: 'SECRET',
      idempotency_key: 'r',
    })
    expect(data).toMatchObject({ status: 'refused', cost_usd: 0 })
    expect(await listed()).toMatchObject({ conversations: [], total: 0 })
    expect(await db().storage.bytes(userId)).toBeLessThan(100)
    const again = await send({ message: 'SECRET', system_prompt: 'SECRET', idempotency_key: 'r' })
    expect(again.data).toMatchObject({ message_id: data.message_id, replayed: true })
  })

  describe('a system prompt in which there is nothing to read', () => {
    test.each([
      '',
      ' ',
      '\n\t',
      '\u00a0\u3000',
      '\u200b\u200d',
      '\ufeff',
      '\u0085',
      '\u001c',
      '\u2800',
    ])('is none: %j', async (blank) => {
      const first = await send({ system_prompt: blank })
      expect(first.success).toBe(true)
      expect(lastSystem()).toBeUndefined()
      const { conversation_id } = first.data
      await send({ conversation_id, system_prompt: 'Be brief.' })
      await send({ conversation_id, system_prompt: blank })
      expect(lastSystem()).toBeUndefined()
      expect((await send({ conversation_id })).success).toBe(true)
      expect(lastSystem()).toBeUndefined()
    })
  })

  test.each(['\u200b', '\u0085', '\ufeff \u2060', '\u001d'])(
    'a message or stop sequence of %j is refused by name, and nothing is stored',
    async (blank) => {
      const [message, stop] = [
        await send({ message: blank }),
        await send({ stop_sequences: ['END', blank] }),
      ]
      expect(message.error).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['message'] },
      })
      expect(stop.error).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['stop_sequences.1'] },
      })
      expect(app.claude.messageRequests()).toEqual([])
    },
  )
})
