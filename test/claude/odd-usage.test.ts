/** Whatever an answer says of its usage: it is delivered, and nothing of it is booked as less than it is. */

import { expect, test } from 'vitest'
import { useClaude } from './asking.ts'

const claude = useClaude()
const INPUT = { input_tokens: 21, cache_creation_input_tokens: 0, cache_read_input_tokens: 4 }
const START = { ...INPUT, output_tokens: 1 }
const END = { ...INPUT, output_tokens: 30 }
/** 'Hello there, Claude.' and what may be around it. */
const MOST_INPUT = 20 + 16 + 64
const GARBAGE = [-1, 0.5e300, 'many', {}, [], true, Number.MAX_VALUE]

type Events = { message?: unknown; start?: unknown; deltas?: unknown[] }

/** Asks with an answer of these first and last events. */
function answered({ message, start = START, deltas = [ended(END)] }: Events) {
  const begin = message ?? { model: 'claude-sonnet-5-5', content: [], usage: start }
  const events = [
    { type: 'message_start', message: begin },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi!' } },
    { type: 'content_block_stop', index: 0 },
    ...deltas,
    { type: 'message_stop' },
  ]
  return askedWith(events.map(named))
}

const named = (event: unknown): string[] => [
  (event as { type: string }).type,
  JSON.stringify(event),
]

function askedWith(events: string[][]) {
  const body = events.map(([name, data]) => `event: ${name}\ndata: ${data}\n\n`).join('')
  const headers = { 'content-type': 'text/event-stream' }
  claude.standIn.script({ kind: 'raw', status: 200, body, headers })
  return claude.ask()
}

function ended(usage: unknown, delta: unknown = { stop_reason: 'end_turn' }) {
  return { type: 'message_delta', delta, usage }
}

const DELIVERED = { status: 'complete', text: 'Hi!', stopReason: 'end_turn', error: null }

test.each([undefined, null, {}, 7, 'none'])(
  'a first event with %o for its usage',
  async (start) => {
    const message = { model: 'claude-sonnet-5-5', usage: start }
    expect(await answered({ message })).toMatchObject({
      ...DELIVERED,
      usage: { inputTokens: 21, cacheReadTokens: 4, outputTokens: 30 },
      // Where it ran was to be said there.
      rate: { geo: 'unknown' },
      usageEstimated: 'usage_missing',
    })
  },
)

test.each([undefined, null, {}, 7])('a last event with %o for its usage', async (usage) => {
  const outcome = await answered({ deltas: [ended(usage)] })
  expect(outcome).toMatchObject({
    ...DELIVERED,
    usage: { inputTokens: 21, cacheReadTokens: 4 },
    usageEstimated: 'usage_missing',
    warnings: [expect.stringContaining('did not say all')],
  })
  expect(outcome.usage?.outputTokens).toBeGreaterThanOrEqual(3)
})

test('no usage at all: the most that the request allows', async () => {
  const outcome = await answered({ start: null, deltas: [ended(undefined)] })
  expect(outcome).toMatchObject({ ...DELIVERED, usage: { inputTokens: MOST_INPUT } })
  expect(outcome.usage?.outputTokens).toBeLessThanOrEqual(1024)
})

test.each(GARBAGE)('%o is no count of anything', async (bad) => {
  const all = {
    input_tokens: bad,
    cache_creation_input_tokens: bad,
    cache_read_input_tokens: bad,
    cache_creation: { ephemeral_5m_input_tokens: bad, ephemeral_1h_input_tokens: bad },
    output_tokens: bad,
    output_tokens_details: { thinking_tokens: bad },
  }
  const unknown = await answered({ start: all, deltas: [ended(all)] })
  expect(unknown).toMatchObject({ ...DELIVERED, usage: { inputTokens: MOST_INPUT } })
  expect(unknown.usageEstimated).toBe('usage_missing')
  // What the other event says stands.
  expect(await answered({ start: all })).toMatchObject({
    usage: { inputTokens: 21, cacheReadTokens: 4, outputTokens: 30 },
    usageEstimated: null,
  })
})

test('a fraction is rounded up, and of two counts the larger counts', async () => {
  const start = { ...START, input_tokens: 40 }
  expect(await answered({ start, deltas: [ended({ ...END, output_tokens: 30.2 })] })).toMatchObject(
    { usage: { inputTokens: 40, outputTokens: 31 }, usageEstimated: null },
  )
})

test('an input of nothing is none, since there was a message', async () => {
  const nothing = { input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 }
  expect(await answered({ start: nothing, deltas: [ended(nothing)] })).toMatchObject({
    usage: { inputTokens: MOST_INPUT },
    usageEstimated: 'usage_missing',
  })
})

test('a second last event takes nothing back', async () => {
  const more = { ...END, output_tokens: 44 }
  const deltas = [ended(END), ended(more, {}), ended({ output_tokens: 2 }, null)]
  expect(await answered({ deltas })).toMatchObject({
    ...DELIVERED,
    usage: { outputTokens: 44 },
    usageEstimated: null,
  })
})

test.each([
  ['us', 'surcharged'],
  ['US', 'surcharged'],
  ['somewhere-new', 'surcharged'],
  ['global', 'anywhere'],
  ['not_available', 'anywhere'],
  [null, 'anywhere'],
  [undefined, 'anywhere'],
  [7, 'surcharged'],
])('a model that ran in %o', async (inference_geo, geo) => {
  expect(await answered({ start: { ...START, inference_geo } })).toMatchObject({
    rate: { geo, isFast: false },
  })
})

test('a fast answer says so', async () => {
  const outcome = await answered({ start: { ...START, speed: 'fast' } })
  expect(outcome.rate).toEqual({ geo: 'anywhere', isFast: true })
})

test.each([null, undefined, 7, {}, '', '\u0000\u0007'])('the name %o is none', async (model) => {
  expect(await answered({ message: { model, usage: START } })).toMatchObject({
    ...DELIVERED,
    model: 'claude-sonnet-5-5',
    usageEstimated: null,
  })
})

test('a name is kept as it is, without what no database takes', async () => {
  const model = 'anthropic/claude\u0000-sonnet-5-5@default'
  expect((await answered({ message: { model, usage: START } })).model).toBe(
    'anthropic/claude-sonnet-5-5@default',
  )
})

test.each([
  ['null', 'null'],
  ['a number', '7'],
  ['a list', '[]'],
  ['a start of nothing', '{"type":"message_start"}'],
  ['a block of nothing', '{"type":"content_block_start","index":1}'],
  [
    'a block at no place',
    '{"type":"content_block_start","index":-1,"content_block":{"type":"text"}}',
  ],
  ['a block far off', '{"type":"content_block_start","index":4e9,"content_block":{"type":"text"}}'],
  ['a delta of nothing', '{"type":"content_block_delta","index":0}'],
  ['a text of nothing', '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}'],
  ['a stop of nothing', '{"type":"content_block_stop"}'],
  ['a last event of nothing', '{"type":"message_delta"}'],
])('%s in the middle loses nothing', async (_, data) => {
  const events = [
    { type: 'message_start', message: { model: 'claude-sonnet-5-5', usage: START } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi!' } },
    ended(END),
    { type: 'message_stop' },
  ].map(named)
  const odd = ['content_block_delta', data]
  expect(await askedWith([...events.slice(0, 3), odd, ...events.slice(3)])).toMatchObject({
    ...DELIVERED,
    usage: { inputTokens: 21, outputTokens: 30 },
    usageEstimated: null,
  })
})
