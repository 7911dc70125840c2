import { describe, expect, test } from 'vitest'
import { ask, OLD_SONNET, type Posted, post, SONNET, standInForTests } from './probe.ts'

const nowMs = Date.UTC(2026, 10, 22)
const standIn = await standInForTests({ now: () => nowMs, chunkSize: 4 })

const big = 'x'.repeat(33 * 1024 * 1024)
const user = { role: 'user', content: 'hi' }
const said = (content: unknown, role = 'user') => ({ ...ask(''), messages: [{ role, content }] })
const withModel = (model: string, extra: object) => ({ ...ask('hi'), model, ...extra })
const marked = { type: 'text', text: 'a', cache_control: { type: 'ephemeral' } }
const thought = { type: 'thinking', thinking: '', signature: 'made up' }

test.each<[name: string, posted: Posted, status: number, message: string | RegExp]>([
  ['over 32 MB', { body: big, headers: { 'x-api-key': undefined } }, 413, /size/],
  ['no key', { headers: { 'x-api-key': undefined } }, 401, 'x-api-key header is required'],
  ['no version', { headers: { 'anthropic-version': undefined } }, 400, /^anthropic-version/],
  ['unknown version', { headers: { 'anthropic-version': '2024-01-01' } }, 400, /2024-01-01/],
  ['not JSON', { body: '{' }, 400, /JSON/],
  ['not an object', { body: '[]' }, 400, /JSON object/],
  ['half an emoji', { body: JSON.stringify(ask('\ud83d')) }, 400, /surrogate/],
  [
    'unknown field',
    { body: ask('hi', { prompt: 1 } as object) },
    400,
    'prompt: Extra inputs are not permitted',
  ],
  ['no model', { body: { max_tokens: 1, messages: [user] } }, 400, 'model: Field required'],
  [
    'no max_tokens',
    { body: { model: SONNET, messages: [user] } },
    400,
    'max_tokens: Field required',
  ],
  ['no messages', { body: { model: SONNET, max_tokens: 1 } }, 400, 'messages: Field required'],
  [
    'empty messages',
    { body: { ...ask(''), messages: [] } },
    400,
    'messages: at least one message is required',
  ],
  ['unknown model', { body: withModel('claude-x', {}) }, 404, 'model: claude-x'],
  [
    'retired model',
    { body: withModel('claude-3-5-sonnet-20241022', {}) },
    404,
    'model: claude-3-5-sonnet-20241022',
  ],
  [
    'max_tokens too high',
    { body: ask('hi', { max_tokens: 128_001 }) },
    400,
    /^max_tokens: 128001 > 128000, which is/,
  ],
  [
    'max_tokens a string',
    { body: { ...ask('hi'), max_tokens: '5' } },
    400,
    /^max_tokens: Input should be/,
  ],
  [
    'enabled unsupported',
    { body: withModel(SONNET, { thinking: { type: 'enabled', budget_tokens: 1024 } }) },
    400,
    /^"thinking.type.enabled" is not supported/,
  ],
  [
    'disabled unsupported',
    { body: withModel(SONNET, { thinking: { type: 'disabled' } }) },
    400,
    /^"thinking.type.disabled" is not supported/,
  ],
  [
    'adaptive unsupported',
    { body: withModel('claude-haiku-4-5', { thinking: { type: 'adaptive' } }) },
    400,
    'adaptive thinking is not supported on this model',
  ],
  [
    'unknown thinking',
    { body: withModel(SONNET, { thinking: { type: 'toString' } }) },
    400,
    /^thinking.type: Input should be/,
  ],
  [
    'no budget',
    { body: withModel(OLD_SONNET, { thinking: { type: 'enabled' } }) },
    400,
    /budget_tokens: Field required/,
  ],
  [
    'small budget',
    { body: withModel(OLD_SONNET, { thinking: { type: 'enabled', budget_tokens: 1023 } }) },
    400,
    /at least 1024/,
  ],
  [
    'budget over max_tokens',
    {
      body: withModel(OLD_SONNET, {
        max_tokens: 1024,
        thinking: { type: 'enabled', budget_tokens: 1024 },
      }),
    },
    400,
    /greater than/,
  ],
  [
    'between_tools at max',
    {
      body: withModel(SONNET, {
        thinking: { type: 'between_tools' },
        output_config: { effort: 'max' },
      }),
    },
    400,
    /between_tools" is not supported at effort 'max'/,
  ],
  [
    'opus-5 disabled at xhigh',
    {
      body: withModel('claude-opus-5', {
        thinking: { type: 'disabled' },
        output_config: { effort: 'xhigh' },
      }),
    },
    400,
    /disabled" is not supported at effort/,
  ],
  [
    'effort unsupported',
    { body: withModel('claude-haiku-4-5', { output_config: { effort: 'low' } }) },
    400,
    /effort/,
  ],
  [
    'effort unknown',
    { body: withModel(SONNET, { output_config: { effort: 'extreme' } }) },
    400,
    /^output_config.effort/,
  ],
  [
    'output_config extra',
    { body: withModel(SONNET, { output_config: { verbosity: 1 } }) },
    400,
    'output_config.verbosity: Extra inputs are not permitted',
  ],
  [
    'forced tool',
    { body: withModel(SONNET, { tools: [{ name: 't' }], tool_choice: { type: 'any' } }) },
    400,
    /tool_choice/,
  ],
  ['blank stop sequence', { body: ask('hi', { stop_sequences: ['\n'] }) }, 400, /non-whitespace/],
  ['role', { body: said('x', 'tool') }, 400, /^messages.0.role/],
  [
    'system role',
    { body: { ...ask(''), messages: [user, { role: 'system', content: 'x' }] } },
    400,
    /^messages.1.role/,
  ],
  [
    'message extra',
    { body: { ...ask(''), messages: [{ ...user, id: 1 }] } },
    400,
    'messages.0.id: Extra inputs are not permitted',
  ],
  [
    'block extra',
    { body: said([{ type: 'text', text: 'a', parsed: null }]) },
    400,
    'messages.0.content.0.text.parsed: Extra inputs are not permitted',
  ],
  ['unknown block', { body: said([{ type: 'constructor' }]) }, 400, /^messages.0.content.0.type/],
  [
    'empty content',
    { body: said([]) },
    400,
    /^messages.0: all messages must have non-empty content/,
  ],
  [
    'empty string',
    { body: said('') },
    400,
    /^messages.0: all messages must have non-empty content/,
  ],
  [
    'blank text',
    { body: said([{ type: 'text', text: ' ' }]) },
    400,
    'messages: text content blocks must be non-empty',
  ],
  [
    'foreign signature',
    { body: { ...ask(''), messages: [user, { role: 'assistant', content: [thought] }, user] } },
    400,
    'messages.1.content.0: Invalid `signature` in `thinking` block',
  ],
  ['assistant first', { body: said('x', 'assistant') }, 400, /first message/],
  [
    'prefill',
    { body: { ...ask(''), messages: [user, { role: 'assistant', content: 'So' }] } },
    400,
    /^This model does not support assistant message prefill\./,
  ],
  [
    'five breakpoints',
    { body: said([marked, marked, marked, marked, marked]) },
    400,
    /maximum of 4/,
  ],
  [
    'four and automatic',
    { body: { ...said([marked, marked, marked, marked]), cache_control: { type: 'ephemeral' } } },
    400,
    /maximum of 4/,
  ],
  [
    '1h behind 5m',
    {
      body: {
        ...said([marked, { type: 'text', text: 'b' }]),
        cache_control: { type: 'ephemeral', ttl: '1h' },
      },
    },
    400,
    /must not come after/,
  ],
  [
    'too long',
    {
      body: withModel('claude-haiku-4-5', {
        messages: [{ role: 'user', content: 'x'.repeat(800_001) }],
      }),
    },
    400,
    'prompt is too long: 200004 tokens > 200000 maximum',
  ],
])('%s', async (_name, posted, status, message) => {
  const { status: got, error } = await post(standIn, posted)
  expect(error.message).toMatch(message)
  expect(got).toBe(status)
  expect(standIn.billed().calls).toBe(0)
})

test('the first fault in the order of the API is the one reported', async () => {
  const body = {
    ...ask(''),
    model: 'gone',
    temperature: 0.5,
    messages: [{ role: 'x', content: '' }],
  }
  expect((await post(standIn, { body })).status).toBe(404)
  expect((await post(standIn, { body: { ...body, model: SONNET } })).error.message).toMatch(
    /^temperature/,
  )
  expect((await post(standIn, { body: { ...body, bogus: 1 } })).error.message).toMatch(/^bogus/)
})

test.each([
  [SONNET, '2026-10-21', { temperature: 1 }, 'temperature: Extra inputs are not permitted'],
  [OLD_SONNET, '2026-10-21', { top_p: 0.9 }, 'top_p: Extra inputs are not permitted'],
  [SONNET, '2023-06-01', { temperature: 0.7 }, '`temperature` is deprecated for this model.'],
  [SONNET, '2023-06-01', { top_k: 5 }, '`top_k` is deprecated for this model.'],
  [SONNET, '2023-06-01', { temperature: 1 }, undefined],
  [OLD_SONNET, '2023-06-01', { temperature: 0.7 }, undefined],
  [OLD_SONNET, '2023-06-01', { temperature: 1.5 }, /range: 0\.\.1/],
  [
    OLD_SONNET,
    '2023-06-01',
    { temperature: 0.5, top_p: 0.9 },
    /^`temperature` and `top_p` cannot both/,
  ],
  [
    OLD_SONNET,
    '2023-06-01',
    { temperature: 0.5, thinking: { type: 'adaptive' } },
    /may only be set to 1/,
  ],
])('sampling on %s under %s: %j', async (model, version, sampling, message) => {
  const headers = { 'anthropic-version': version }
  const { status, error } = await post(standIn, {
    body: { ...ask('hi'), model, ...sampling },
    headers,
  })
  expect(status).toBe(message === undefined ? 200 : 400)
  if (message !== undefined) expect(error.message).toMatch(message)
})

test('count_tokens takes no max_tokens and no sampling', async () => {
  const path = '/v1/messages/count_tokens'
  const { max_tokens, ...body } = ask('hi')
  expect((await post(standIn, { path, body })).json).toEqual({ input_tokens: 4 })
  expect((await post(standIn, { path, body: { ...body, max_tokens } })).error.message).toMatch(
    /^max_tokens: Extra/,
  )
  expect((await post(standIn, { path, body: { ...body, temperature: 1 } })).error.message).toMatch(
    /^temperature: Extra/,
  )
})

test('prefill, escaped backslashes and older aliases pass where they are allowed', async () => {
  const messages = [
    { role: 'user', content: 'a \\ud83d 😀' },
    { role: 'assistant', content: 'So' },
  ]
  const { status, json } = await post(standIn, {
    body: { ...ask(''), model: 'claude-sonnet-4-5', messages },
  })
  expect(status).toBe(200)
  expect(json.model).toBe('claude-sonnet-4-5-20250929')
  expect(json.content).toEqual([{ type: 'text', text: 'a \\ud83d 😀', citations: null }])
})

describe('with a beta named', () => {
  const beta = { 'anthropic-beta': 'safeguards-2026-01-01' }
  const withExtras = {
    // It takes a system message in the middle.
    ...ask('hello'),
    model: 'claude-opus-5-5',
    safeguards: { level: 'high' },
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'hello', of_the_beta: 1 }] },
      { role: 'system', content: 'be brief', output_config: { effort: 'low' } },
      { role: 'user', content: 'go on' },
    ],
  }

  test('fields that are not known pass, wherever they stand', async () => {
    expect((await post(standIn, { body: withExtras })).status).toBe(400)
    const { status } = await post(standIn, { body: withExtras, headers: beta })
    expect(status).toBe(200)
  })

  test('and all else is checked as ever', async () => {
    const body = { ...withExtras, max_tokens: 'many' }
    expect((await post(standIn, { body, headers: beta })).status).toBe(400)
  })
})
