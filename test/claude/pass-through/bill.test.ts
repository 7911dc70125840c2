import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Bill, billOf, type CallFacts } from '../../../src/claude/pass-through/bill.ts'
import { BodyMeter } from '../../../src/claude/pass-through/body-meter.ts'
import { StreamMeter } from '../../../src/claude/pass-through/stream-meter.ts'
import { ANTHROPIC_PRICES } from '../../../src/claude/prices/price-list.ts'
import { PriceTable } from '../../../src/claude/prices/prices.ts'
import { costOf } from './cost.ts'

const AT = new Date('2026-11-28T12:00:00Z')
const prices = new PriceTable(ANTHROPIC_PRICES)
const cost = (bill: Bill | null) => bill && Number(costOf(bill, prices, AT)) / 1e9

const CALL: CallFacts = {
  model: 'claude-opus-5-5',
  maxTokens: 64_000,
  likelyInputTokens: 1000,
  cacheWrites: 'none',
  isStream: true,
}

const event = (type: string, fields: object = {}) =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
const started = (usage: object, model = 'claude-opus-5-5') =>
  event('message_start', { message: { model, usage: { inference_geo: 'global', ...usage } } })
const opened = (type: string) => event('content_block_start', { index: 0, content_block: { type } })
const delta = (fields: object) => event('content_block_delta', { index: 0, delta: fields })
const text = (value: string) => delta({ type: 'text_delta', text: value })
const ended = (usage: object, stop_reason = 'end_turn') =>
  event('message_delta', { delta: { stop_reason }, usage }) + event('message_stop')

function metered(stream: string | readonly Uint8Array[], now?: () => number) {
  const meter = new StreamMeter(now)
  const chunks = typeof stream === 'string' ? [Buffer.from(stream)] : stream
  for (const chunk of chunks) meter.add(chunk)
  meter.end()
  return meter
}

const progressOf = (meter: StreamMeter, sentMs: number | null = 5000) => ({
  report: meter.report,
  textBytes: meter.textBytes,
  estimatedThinkingTokens: meter.estimatedThinkingTokens,
  silentMs: meter.silentMs,
  sentMs,
})
const bill = (stream: string, call: Partial<CallFacts> = {}) =>
  billOf({ ...CALL, ...call }, progressOf(metered(stream)))
const onlyUsage = (found: Bill | null) => {
  expect(found?.charges).toHaveLength(1)
  return found?.charges[0]?.usage
}

describe('the stream', () => {
  const whole = [
    ': a comment\n\n',
    started({ input_tokens: 10, output_tokens: 1 }),
    event('ping'),
    opened('text'),
    text('Grüße, 世界 🌍'),
    event('of_next_year', { x: '\u2028' }),
    event('content_block_stop', { index: 0 }),
    ended({ input_tokens: 12, output_tokens: 7 }),
  ].join('')

  test('is read the same in chunks of any size, with any line ends', () => {
    const expected = metered(whole)
    expect(expected.isFinished).toBe(true)
    const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        lineEnd,
        (sizes, end) => {
          const bytes = Buffer.from(whole.replaceAll('\n', end))
          const chunks: Buffer[] = []
          for (let at = 0, next = 0; at < bytes.length; next += 1) {
            const size = sizes[next % sizes.length] as number
            chunks.push(bytes.subarray(at, at + size))
            at += size
          }
          const meter = metered(chunks)
          expect(meter.isFinished).toBe(true)
          expect(meter.textBytes).toBe(expected.textBytes)
          expect(meter.report.counted('5m')).toEqual(expected.report.counted('5m'))
        },
      ),
    )
  })

  test('data may come in several lines, and without an event line', () => {
    const split =
      'event: message_start\ndata: {"message":\ndata:{"model":"m","usage":{"input_tokens":5}}}\n\n'
    expect(metered(split).report.counted('5m')).toMatchObject({ inputTokens: 5 })
    const nameless = 'data: {"type":"message_start","message":{"usage":{"input_tokens":6}}}\n\n'
    expect(metered(nameless).report.counted('5m')).toMatchObject({ inputTokens: 6 })
  })

  test('what cannot be read is skipped', () => {
    const odd = `event: message_start\ndata: {"half\n\n${ended({ output_tokens: 3 })}`
    expect(metered(odd).report.outputSoFar).toBe(3)
    expect(metered('\ufeff\0nonsense').report.hasStarted).toBe(false)
  })

  test('an error event is noted', () => {
    expect(metered(event('error', { error: { type: 'overloaded_error' } })).errorType).toBe(
      'overloaded_error',
    )
  })
})

describe('what Anthropic counted', () => {
  test('of every field the larger count, with the split of the start', () => {
    const split = { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 50 }
    const start = started({
      input_tokens: 10,
      cache_creation_input_tokens: 150,
      cache_read_input_tokens: 1000,
      cache_creation: split,
      output_tokens: 1,
    })
    const end = ended({
      input_tokens: 30,
      cache_creation_input_tokens: 250,
      cache_read_input_tokens: null,
      output_tokens: 20,
    })
    expect(onlyUsage(bill(start + end))).toMatchObject({
      inputTokens: 30,
      cacheWrite5mTokens: 200,
      cacheWrite1hTokens: 50,
      cacheReadTokens: 1000,
      outputTokens: 20,
    })
    expect(onlyUsage(bill(start + end, { cacheWrites: '1h' }))).toMatchObject({
      cacheWrite5mTokens: 100,
      cacheWrite1hTokens: 150,
    })
    expect(bill(start + end)).toMatchObject({ isEstimated: false })
  })

  test('the region raises the price of tokens only, not of searches', () => {
    const usage = { output_tokens: 100, server_tool_use: { web_search_requests: 2 } }
    const here = started({ input_tokens: 1000 }) + ended(usage)
    const us = started({ input_tokens: 1000, inference_geo: 'us' }) + ended(usage)
    const tokens = 1000 * 4e-6 + 100 * 20e-6
    expect(cost(bill(here))).toBeCloseTo(tokens + 0.02, 9)
    expect(cost(bill(us))).toBeCloseTo(tokens * 1.1 + 0.02, 9)
  })

  test('the speed that served counts, not the one asked for', () => {
    const at = (speed: string) =>
      bill(started({ input_tokens: 1000, speed }) + ended({ output_tokens: 100 }))
    expect(cost(at('standard'))).toBeCloseTo(1000 * 4e-6 + 100 * 20e-6, 9)
    expect(cost(at('fast'))).toBeCloseTo(1000 * 8e-6 + 100 * 40e-6, 9)
  })

  test('each run of a model at its own price, without the attempt that declined', () => {
    const iterations = [
      { type: 'compaction', model: 'claude-sonnet-5-5', input_tokens: 1000, output_tokens: 10 },
      { type: 'message', model: 'claude-opus-5-5', input_tokens: 5000, output_tokens: 0 },
      { type: 'advisor_message', model: 'claude-fable-5-2', input_tokens: 100, output_tokens: 20 },
      { type: 'of_next_year', input_tokens: 1, output_tokens: 1 },
      {
        type: 'fallback_message',
        model: 'claude-opus-5',
        input_tokens: 2000,
        output_tokens: 30,
        cache_creation_input_tokens: 8,
        cache_creation: { ephemeral_1h_input_tokens: 8 },
      },
    ]
    const found = bill(started({ input_tokens: 5000 }) + ended({ output_tokens: 30, iterations }))
    expect(found?.charges.map(({ model }) => model)).toEqual([
      'claude-sonnet-5-5',
      'claude-fable-5-2',
      'claude-opus-5-5',
      'claude-opus-5',
    ])
    const perMillion = 1000 * 2 + 10 * 10 + 100 * 8 + 20 * 40 + 4 + 20 + 2000 * 5 + 30 * 25 + 8 * 10
    expect(cost(found)).toBeCloseTo(perMillion / 1e6, 9)
  })

  test.each([
    ['no entries', [null, 5, 'x']],
    ['an entry without counts', [{ type: 'message', input_tokens: 9, output_tokens: 9 }, {}]],
    ['an odd count', [{ type: 'message', input_tokens: -1, output_tokens: 'many' }]],
  ])('runs that cannot be read are not free: %s', (_, iterations) => {
    const found = bill(
      started({ input_tokens: 100, output_tokens: 1 }) + ended({ output_tokens: 90, iterations }),
    )
    expect(found).toMatchObject({ isEstimated: true })
    expect(onlyUsage(found)).toMatchObject({ inputTokens: 100, outputTokens: 90 })
  })

  test('the price band is that of each run', () => {
    const run = (input_tokens: number) => ({ type: 'message', input_tokens, output_tokens: 1 })
    const of = (...iterations: object[]) =>
      cost(
        bill(
          started({ input_tokens: 1 }, 'claude-haiku-5-5') +
            ended({ output_tokens: 1, iterations }),
        ),
      )
    expect(of(run(100_000))).toBeCloseTo((100_000 * 0.1 + 0.5) / 1e6, 9)
    expect(of(run(100_001))).toBeCloseTo((100_001 * 0.5 + 2.5) / 1e6, 9)
    expect(of(run(60_000), run(60_000))).toBeCloseTo((2 * (60_000 * 0.1 + 0.5)) / 1e6, 9)
  })

  test('a refusal is billed only after output', () => {
    const start = started({ input_tokens: 100, output_tokens: 1 })
    expect(bill(start + ended({ output_tokens: 1 }, 'refusal'))).toBeNull()
    expect(onlyUsage(bill(start + ended({ output_tokens: 9 }, 'refusal')))).toMatchObject({
      outputTokens: 9,
    })
  })

  test('an answer without output is billed for its input', () => {
    const found = bill(
      started({ input_tokens: 100, output_tokens: 0 }) + ended({ output_tokens: 0 }, 'max_tokens'),
      { maxTokens: 0 },
    )
    expect(onlyUsage(found)).toMatchObject({ inputTokens: 100, outputTokens: 0 })
  })

  test('a whole body has the same fields', () => {
    const bodyBill = (message: object) => {
      const meter = new BodyMeter()
      const bytes = Buffer.from(JSON.stringify(message))
      for (const byte of bytes) meter.add(Uint8Array.of(byte))
      meter.end()
      return billOf(
        { ...CALL, isStream: false },
        {
          report: meter.report,
          textBytes: meter.textBytes,
          estimatedThinkingTokens: 0,
          silentMs: 0,
          sentMs: 9000,
        },
      )
    }
    const usage = { input_tokens: 100, output_tokens: 9, inference_geo: 'global' }
    const message = {
      model: 'claude-opus-5-5',
      content: [{ type: 'text', text: '"usage":{}' }],
      usage,
    }
    expect(bodyBill({ ...message, stop_reason: 'end_turn' })).toMatchObject({
      isEstimated: false,
      charges: [{ usage: { inputTokens: 100, outputTokens: 9 } }],
    })
    expect(bodyBill({ ...message, stop_reason: 'refusal' })).not.toBeNull()
    expect(bodyBill({ model: 'x' })).toMatchObject({
      isEstimated: true,
      charges: [{ usage: { inputTokens: 1000, outputTokens: 450 } }],
    })
  })
})

describe('what was cut off', () => {
  test('before it was sent costs nothing; before the start its likely input', () => {
    const nothing = progressOf(metered(''), null)
    expect(billOf(CALL, nothing)).toBeNull()
    const found = billOf({ ...CALL, cacheWrites: '1h' }, progressOf(metered(''), 900))
    expect(found).toMatchObject({ isEstimated: true })
    expect(onlyUsage(found)).toMatchObject({
      inputTokens: 0,
      cacheWrite1hTokens: 1000,
      outputTokens: 0,
    })
    const unseen = billOf({ ...CALL, isStream: false }, progressOf(metered(''), 10_000))
    expect(onlyUsage(unseen)).toMatchObject({ inputTokens: 1000, outputTokens: 500 })
  })

  test('in the text: a token for three characters, never more than max_tokens', () => {
    const cut =
      started({ input_tokens: 50, output_tokens: 1 }) + opened('text') + text('x'.repeat(3000))
    const found = onlyUsage(bill(cut))
    expect(found?.inputTokens).toBe(50)
    expect(found?.outputTokens).toBeGreaterThanOrEqual(1000)
    expect(found?.outputTokens).toBeLessThan(1020)
    expect(onlyUsage(bill(cut, { maxTokens: 400 }))).toMatchObject({ outputTokens: 400 })
  })

  test('in thinking that is not shown: by time, or by the count that Anthropic estimates', () => {
    let clock = 0
    const silent = metered(started({ input_tokens: 50 }) + opened('thinking'), () => clock)
    clock = 10_000
    expect(onlyUsage(billOf(CALL, progressOf(silent)))).toMatchObject({ outputTokens: 500 })
    const estimated = delta({ type: 'thinking_delta', thinking: '', estimated_tokens: 400 })
    const counting = metered(
      started({ input_tokens: 50 }) + opened('thinking') + estimated + estimated,
      () => clock,
    )
    expect(onlyUsage(billOf(CALL, progressOf(counting)))).toMatchObject({ outputTokens: 800 })
  })

  test('in an answer whose beginning cannot be read: its likely input, and what it wrote', () => {
    const beginning = 'event: message_start\ndata: {"half\n\n'
    const found = bill(beginning + opened('text') + text('x'.repeat(3000)))
    expect(found).toMatchObject({ isEstimated: true })
    expect(onlyUsage(found)?.inputTokens).toBe(1000)
    expect(onlyUsage(found)?.outputTokens).toBeGreaterThanOrEqual(1000)
    const counted = onlyUsage(bill(beginning + ended({ output_tokens: 700 })))
    expect(counted).toMatchObject({ inputTokens: 1000, outputTokens: 700 })
  })

  test('signatures are no output', () => {
    const signed = delta({ type: 'signature_delta', signature: 's'.repeat(5000) })
    const cut = started({ input_tokens: 50, output_tokens: 1 }) + opened('text') + signed
    expect(onlyUsage(bill(cut))).toMatchObject({ outputTokens: 1 })
  })

  test('after the last count nothing is estimated', () => {
    const counted = event('message_delta', {
      delta: { stop_reason: 'end_turn' },
      usage: { output_tokens: 7 },
    })
    const found = bill(started({ input_tokens: 50 }) + text('x'.repeat(900)) + counted)
    expect(found).toMatchObject({ isEstimated: false })
    expect(onlyUsage(found)).toMatchObject({ outputTokens: 7 })
  })
})
