/** Which model answers, and what of the parameters it is sent. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { vaultOf } from '../vault-of.ts'

let app: TestApp
let user: TestUser
let client: TestClient
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  user = await app.register()
  client = await app.connect('modern', user.accessToken)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const send = async (args: Record<string, unknown> = {}) =>
  (await client.call('send_message', { message: 'Hello.', ...args })).structured

/** What the last call upstream said, apart from its messages. */
function lastSent() {
  const last = app.claude.messageRequests().at(-1)
  const body = (last?.json ?? {}) as Record<string, unknown>
  const { model, max_tokens, temperature, thinking, output_config } = body
  const version = last?.headers['anthropic-version']
  return { model, max_tokens, temperature, thinking, output_config, version }
}

describe('the model', () => {
  test('the document’s is retired: its replacement is named, nobody asked, nothing stored', async () => {
    const before = (await client.call('get_conversations')).structured.total
    const { success, error } = await send({ model: 'claude-3-5-sonnet-20241022' })
    expect(success).toBe(false)
    expect(error).toMatchObject({
      code: 'model_retired',
      retryable: false,
      details: {
        model: 'claude-3-5-sonnet-20241022',
        replacement: 'claude-sonnet-5-5',
        retired_on: '2025-10-28',
      },
    })
    expect(error.message).toContain('claude-sonnet-5-5')
    expect(app.claude.journal).toEqual([])
    expect((await client.call('get_conversations')).structured.total).toBe(before)
  })

  test('a retired model leaves the conversation it was meant for free and as it was', async () => {
    const { conversation_id } = (await send()).data
    const refused = await send({ conversation_id, model: 'claude-3-opus-20240229' })
    expect(refused.error.code).toBe('model_retired')
    const next = await send({ conversation_id })
    expect(next.data.history).toEqual({ sent: 2, omitted: 0 })
  })

  test.each([
    ['sonnet', 'claude-sonnet-5-5'],
    ['opus', 'claude-opus-5-5'],
    ['haiku', 'claude-haiku-5-5'],
    [' Opus ', 'claude-opus-5-5'],
    ['claude-haiku-4-5', 'claude-haiku-4-5-20251001'],
  ])('%j means %s', async (model, id) => {
    const { data } = await send({ model })
    expect(data.model).toBe(id)
    expect(lastSent().model).toBe(id)
  })

  test('an unknown id is passed on as it is, and Anthropic’s no is explained', async () => {
    const { error } = await send({ model: 'claude-next-9' })
    expect(lastSent()).toMatchObject({ model: 'claude-next-9', thinking: undefined })
    expect(error).toMatchObject({
      code: 'model_not_available',
      details: { model: 'claude-next-9', request_id: expect.stringMatching(/^req_/) },
    })
    expect(error.message).toContain('claude-sonnet-5-5')
  })

  test('a mistyped model does not stick to the conversation', async () => {
    const { error } = await send({ model: 'claude-sonet' })
    const { conversation_id } = error.details
    expect((await send({ conversation_id })).data.model).toBe('claude-sonnet-5-5')
    await send({ conversation_id, model: 'claude-sonet' })
    expect((await send({ conversation_id })).data.model).toBe('claude-sonnet-5-5')
  })

  test('a conversation keeps its model until another is named', async () => {
    const { conversation_id } = (await send({ model: 'opus' })).data
    expect((await send({ conversation_id })).data.model).toBe('claude-opus-5-5')
    expect((await send({ conversation_id, model: 'haiku' })).data.model).toBe('claude-haiku-5-5')
    expect((await send({ conversation_id })).data.model).toBe('claude-haiku-5-5')
  })

  test('a conversation outlives its model: the default goes on, and says so', async () => {
    const id = newId()
    const { wrapped: dataKey, vault } = (await vaultOf(app)).createConversationKey(id, user.userId)
    const row = {
      id,
      userId: user.userId,
      dataKey,
      title: vault.sealTitle('From another time'),
      systemPrompt: null,
      model: 'claude-3-opus-20240229',
      messageCount: 2,
    }
    await app.app.db.insertInto('conversations').values(row).execute()
    const { data } = await send({ conversation_id: id })
    expect(data.model).toBe('claude-sonnet-5-5')
    expect(data.warnings).toEqual([
      "claude-3-opus-20240229, this conversation's model, was retired; claude-sonnet-5-5 answered.",
    ])
  })
})

describe('temperature', () => {
  test.each([0, 0.7, 1])(
    '%d goes to a model that takes it, with the old API version',
    async (temperature) => {
      const { data } = await send({ model: 'claude-sonnet-4-6', temperature })
      expect(lastSent()).toMatchObject({ temperature, version: '2023-06-01' })
      expect(data.warnings).toEqual([])
    },
  )

  test('the old version is for that one request', async () => {
    const first = await send({ model: 'claude-sonnet-4-6', temperature: 0.7 })
    await send({ conversation_id: first.data.conversation_id })
    expect(lastSent()).toMatchObject({ temperature: undefined, version: '2026-10-21' })
  })

  test.each(['claude-sonnet-5-5', 'claude-opus-5-5', 'claude-opus-4-8'])(
    'is dropped for %s, with a warning',
    async (model) => {
      const { data } = await send({ model, temperature: 0.7 })
      expect(lastSent()).toMatchObject({ temperature: undefined, version: '2026-10-21' })
      expect(data.warnings).toEqual([`temperature was left out: ${model} takes none.`])
    },
  )

  test('is dropped while the model thinks', async () => {
    const { data } = await send({
      model: 'claude-sonnet-4-6',
      temperature: 0.7,
      thinking: 'adaptive',
    })
    expect(lastSent().temperature).toBeUndefined()
    expect(data.warnings).toEqual([
      'temperature was left out: claude-sonnet-4-6 takes none while it thinks.',
    ])
  })

  test('a refusal heals itself, and is remembered for that model alone', async () => {
    const message = '`temperature` is deprecated for this model.'
    app.claude.script({ kind: 'status', status: 400, message })
    const args = { model: 'claude-opus-4-6', temperature: 0.5 }
    const warning = 'temperature was left out: claude-opus-4-6 takes none any more.'
    expect((await send(args)).data.warnings).toEqual([warning])
    expect(app.claude.messageRequests().map(({ status }) => status)).toEqual([400, 200])
    expect(lastSent()).toMatchObject({ temperature: undefined, version: '2026-10-21' })

    expect((await send(args)).data.warnings).toEqual([warning])
    expect(app.claude.messageRequests()).toHaveLength(3)
    await send({ model: 'claude-sonnet-4-6', temperature: 0.5 })
    expect(lastSent().temperature).toBe(0.5)
  })
})

describe('max_tokens', () => {
  test.each([
    ['the default', {}, 4096],
    ['the caller’s', { max_tokens: 77 }, 77],
    ['the most the model writes', { max_tokens: 128_000 }, 128_000],
  ])('is %s', async (_name, args, maxTokens) => {
    const { data } = await send(args)
    expect(lastSent().max_tokens).toBe(maxTokens)
    expect(data.warnings).toEqual([])
  })

  test.each([
    ['claude-sonnet-5-5', 128_000],
    ['claude-haiku-4-5-20251001', 64_000],
  ])('is lowered to what %s writes, with a warning', async (model, most) => {
    const { data } = await send({ model, max_tokens: 999_999 })
    expect(lastSent().max_tokens).toBe(most)
    expect(data.warnings).toEqual([
      `max_tokens was lowered from 999999 to ${most}, the most ${model} writes.`,
    ])
  })
})

describe('thinking and effort', () => {
  type Sent = { thinking?: string; effort?: string; warning?: RegExp }
  test.each<[string, Record<string, unknown>, Sent]>([
    ['claude-sonnet-5-5', {}, { thinking: 'between_tools' }],
    ['claude-sonnet-5-5', { thinking: 'adaptive' }, { thinking: 'adaptive' }],
    ['claude-opus-5-5', {}, {}],
    ['claude-opus-5-5', { thinking: 'adaptive' }, { thinking: 'adaptive' }],
    ['claude-haiku-5-5', {}, {}],
    ['claude-fable-5-2', {}, {}],
    ['claude-opus-5', {}, { thinking: 'disabled' }],
    ['claude-opus-4-8', {}, { thinking: 'disabled' }],
    ['claude-sonnet-4-6', { thinking: 'adaptive' }, { thinking: 'adaptive' }],
    ['claude-haiku-4-5', {}, { thinking: 'disabled' }],
    ['claude-haiku-4-5', { thinking: 'adaptive' }, { warning: /has no adaptive thinking/ }],
    ['claude-opus-5-5', { effort: 'max' }, { effort: 'max' }],
    ['claude-sonnet-5-5', { effort: 'low' }, { thinking: 'between_tools', effort: 'low' }],
    [
      'claude-sonnet-5-5',
      { effort: 'max' },
      { thinking: 'between_tools', effort: 'high', warning: /effort was lowered from max to high/ },
    ],
    [
      'claude-sonnet-5-5',
      { effort: 'max', thinking: 'adaptive' },
      { thinking: 'adaptive', effort: 'max' },
    ],
    [
      'claude-sonnet-4-6',
      { effort: 'xhigh' },
      { thinking: 'disabled', effort: 'high', warning: /effort was lowered from xhigh to high/ },
    ],
    [
      'claude-haiku-4-5',
      { effort: 'low' },
      { thinking: 'disabled', warning: /has no effort setting/ },
    ],
  ])('%s with %j', async (model, args, { thinking, effort, warning }) => {
    const { data } = await send({ model, ...args })
    expect(data.status).toBe('complete')
    expect(lastSent()).toMatchObject({
      thinking: thinking && { type: thinking },
      output_config: effort && { effort },
    })
    expect(data.warnings).toEqual(warning ? [expect.stringMatching(warning)] : [])
  })
})
