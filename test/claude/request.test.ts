import { expect, test } from 'vitest'
import type { ChatRequest } from '../../src/claude/chat-request.ts'
import type { Turn } from '../../src/claude/content.ts'
import { resolveModel } from '../../src/claude/models.ts'
import { buildRequest } from '../../src/claude/request.ts'

const TODAY = new Date('2026-11-22T12:00:00Z')

function chat(model: string, more: Partial<ChatRequest> = {}): ChatRequest {
  const { id, info } = resolveModel(model, 'refuse', TODAY)
  return {
    model: id,
    info,
    history: [],
    message: 'Hello',
    maxTokens: 1024,
    thinking: 'off',
    endUserId: 'hash-of-ada',
    ...more,
  }
}

const user = (text: string): Turn => ({ role: 'user', content: [{ type: 'text', text }] })
const assistant = (...content: Turn['content']): Turn => ({ role: 'assistant', content })
const thinking = { type: 'thinking', thinking: 'hm', signature: 'sig' }

test('a first message is a bare, streamed request', () => {
  expect(buildRequest(chat('sonnet'))).toEqual({
    body: {
      model: 'claude-sonnet-5-5',
      max_tokens: 1024,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
      thinking: { type: 'between_tools' },
      metadata: { user_id: 'hash-of-ada' },
      stream: true,
    },
    apiVersion: '2026-10-21',
    warnings: [],
  })
})

test('system prompt and stop sequences go along, and empty ones do not', () => {
  const { body } = buildRequest(chat('sonnet', { system: 'Be brief.', stopSequences: ['END'] }))
  expect(body.system).toEqual([{ type: 'text', text: 'Be brief.' }])
  expect(body.stop_sequences).toEqual(['END'])
  const bare = buildRequest(chat('sonnet', { system: '', stopSequences: [] })).body
  expect(bare).not.toHaveProperty('system')
  expect(bare).not.toHaveProperty('stop_sequences')
})

test('history is replayed without thinking, and marked for the cache', () => {
  const history = [
    user('1'),
    assistant(thinking, { type: 'text', text: 'one', citations: null }),
    user('2'),
    assistant({ type: 'redacted_thinking', data: 'x' }, { type: 'text', text: 'two' }),
  ]
  const { body } = buildRequest(chat('sonnet', { history, message: '3' }))
  expect(body.cache_control).toEqual({ type: 'ephemeral' })
  expect(body.messages).toEqual([
    user('1'),
    assistant({ type: 'text', text: 'one' }),
    user('2'),
    assistant({ type: 'text', text: 'two' }),
    user('3'),
  ])
})

test('a turn without a readable answer is left out whole', () => {
  const history = [
    user('unanswered'),
    user('only thought about'),
    assistant(thinking),
    user('blank'),
    assistant({ type: 'text', text: ' \n' }),
    user('kept'),
    assistant({ type: 'text', text: '' }, { type: 'text', text: 'yes' }),
    assistant({ type: 'text', text: 'stray' }),
    user('pending'),
  ]
  expect(buildRequest(chat('sonnet', { history })).body.messages).toEqual([
    user('kept'),
    assistant({ type: 'text', text: 'yes' }),
    user('Hello'),
  ])
})

test('history that vanishes altogether sets no cache mark', () => {
  const { body } = buildRequest(chat('sonnet', { history: [user('1'), assistant(thinking)] }))
  expect(body.messages).toHaveLength(1)
  expect(body).not.toHaveProperty('cache_control')
})

test('each turn begins with the bytes of the one before', () => {
  const first = buildRequest(chat('sonnet', { system: 'S', message: '1' })).body
  const history = [user('1'), assistant(thinking, { type: 'text', text: 'one' })]
  const second = buildRequest(chat('sonnet', { system: 'S', history, message: '2' })).body
  const bytes = JSON.stringify(first.messages).slice(0, -1)
  expect(JSON.stringify(second.messages).startsWith(bytes)).toBe(true)
  expect(JSON.stringify(second.system)).toBe(JSON.stringify(first.system))
})

test.each([
  ['claude-sonnet-5-5', 200_000, 128_000],
  ['claude-haiku-4-5', 100_000, 64_000],
])('max_tokens for %s is at most the model’s own', (model, asked, sent) => {
  const { body, warnings } = buildRequest(chat(model, { maxTokens: asked }))
  expect(body.max_tokens).toBe(sent)
  expect(warnings).toEqual([expect.stringContaining(String(sent))])
})

test.each(['claude-sonnet-4-6', 'claude-opus-4-6', 'claude-opus-4-5', 'claude-haiku-4-5'])(
  '%s takes a temperature, under the old version, without thinking',
  (model) => {
    const { body, apiVersion, warnings } = buildRequest(chat(model, { temperature: 0 }))
    expect(body.temperature).toBe(0)
    expect(body.thinking).toEqual({ type: 'disabled' })
    expect(apiVersion).toBe('2023-06-01')
    expect(warnings).toEqual([])
  },
)

test.each(['claude-sonnet-5-5', 'claude-opus-4-7', 'claude-fable-5-2', 'claude-next-9'])(
  '%s gets no temperature, and the caller is told',
  (model) => {
    const { body, apiVersion, warnings } = buildRequest(chat(model, { temperature: 0.7 }))
    expect(body).not.toHaveProperty('temperature')
    expect(apiVersion).toBe('2026-10-21')
    expect(warnings).toEqual([expect.stringContaining('temperature')])
  },
)

test('adaptive thinking leaves no room for a temperature', () => {
  const { body, apiVersion, warnings } = buildRequest(
    chat('claude-sonnet-4-6', { temperature: 0.7, thinking: 'adaptive' }),
  )
  expect(body.thinking).toEqual({ type: 'adaptive' })
  expect(body).not.toHaveProperty('temperature')
  expect(apiVersion).toBe('2026-10-21')
  expect(warnings).toEqual([expect.stringContaining('while it thinks')])
})

test.each([
  ['claude-sonnet-5-5', 'off', { type: 'between_tools' }],
  ['claude-opus-5', 'off', { type: 'disabled' }],
  ['claude-opus-4-7', 'off', { type: 'disabled' }],
  ['claude-haiku-4-5', 'off', { type: 'disabled' }],
  ['claude-opus-5-5', 'off', undefined],
  ['claude-haiku-5-5', 'off', undefined],
  ['claude-fable-5-2', 'off', undefined],
  ['claude-next-9', 'off', undefined],
  ['claude-sonnet-5-5', 'adaptive', { type: 'adaptive' }],
  ['claude-haiku-5-5', 'adaptive', { type: 'adaptive' }],
  ['claude-next-9', 'adaptive', { type: 'adaptive' }],
] as const)('%s with thinking %s sends %o', (model, asked, sent) => {
  const { body, warnings } = buildRequest(chat(model, { thinking: asked }))
  expect(body.thinking).toEqual(sent)
  expect(warnings).toEqual([])
})

test('a model without adaptive thinking answers without, and says so', () => {
  const { body, warnings } = buildRequest(chat('claude-haiku-4-5', { thinking: 'adaptive' }))
  expect(body).not.toHaveProperty('thinking')
  expect(warnings).toEqual([expect.stringContaining('adaptive')])
})

test.each([
  ['claude-sonnet-5-5', 'off', 'max', 'high'],
  ['claude-sonnet-5-5', 'off', 'medium', 'medium'],
  ['claude-sonnet-5-5', 'adaptive', 'max', 'max'],
  ['claude-opus-5', 'off', 'xhigh', 'high'],
  ['claude-opus-5', 'adaptive', 'xhigh', 'xhigh'],
  ['claude-opus-4-7', 'off', 'xhigh', 'xhigh'],
  ['claude-opus-4-6', 'off', 'xhigh', 'high'],
  ['claude-opus-4-5', 'off', 'max', 'high'],
  ['claude-opus-5-5', 'off', 'max', 'max'],
  ['claude-next-9', 'off', 'max', 'max'],
] as const)('%s, thinking %s: effort %s becomes %s', (model, thinking, asked, sent) => {
  const { body, warnings } = buildRequest(chat(model, { thinking, effort: asked }))
  expect(body.output_config).toEqual({ effort: sent })
  expect(warnings).toHaveLength(asked === sent ? 0 : 1)
})

test.each(['claude-haiku-4-5', 'claude-sonnet-4-5'])('%s has no effort to set', (model) => {
  const { body, warnings } = buildRequest(chat(model, { effort: 'low' }))
  expect(body).not.toHaveProperty('output_config')
  expect(warnings).toEqual([expect.stringContaining('effort')])
})
