import { expect, test } from 'vitest'
import { MODELS } from '../../../src/claude/models.ts'
import { costNanoUsd, loadPriceTable } from '../../../src/claude/prices/prices.ts'
import { estimateTokens } from '../../../src/claude/prices/tokens.ts'
import { type Rate, totalInputTokens, type Usage } from '../../../src/claude/prices/usage.ts'
import { AppError } from '../../../src/errors.ts'

const NOW = new Date('2026-11-22T12:00:00Z')
const table = loadPriceTable()

const usage: Usage = {
  inputTokens: 3,
  cacheWrite5mTokens: 505,
  cacheWrite1hTokens: 7,
  cacheReadTokens: 2400,
  outputTokens: 120,
  thinkingTokens: 80,
}

test('every served model has a price, by its full id and by its pointers', () => {
  for (const { id, pointers } of MODELS) {
    for (const name of [id, ...pointers]) {
      expect(table.unitPrices(name, 1000, NOW), name).not.toBeNull()
    }
  }
})

test('a dated id costs what its undated one does', () => {
  expect(table.unitPrices('claude-haiku-4-5-20251001', 1, NOW)).toEqual(
    table.unitPrices('claude-haiku-4-5', 1, NOW),
  )
})

test('the price of an unknown model is unknown', () => {
  expect(table.unitPrices('claude-next-9', 1, NOW)).toBeNull()
  expect(table.unitPrices('claude-sonnet-5-5-turbo', 1, NOW)).toBeNull()
})

test('a price holds from its first day on, in UTC', () => {
  const read = (at: string) => table.unitPrices('claude-sonnet-5-5', 1, new Date(at))?.cacheRead
  expect(read('2026-10-06T23:59:59Z')).toBe(200)
  expect(read('2026-10-07T00:00:00Z')).toBe(100)
})

test('Haiku 5.5 has a second band above 100 000 prompt tokens', () => {
  const low = { input: 100, output: 500, cacheWrite5m: 125, cacheWrite1h: 200, cacheRead: 10 }
  const high = { input: 500, output: 2500, cacheWrite5m: 625, cacheWrite1h: 1000, cacheRead: 50 }
  expect(table.unitPrices('claude-haiku-5-5', 0, NOW)).toEqual(low)
  expect(table.unitPrices('claude-haiku-5-5', 100_000, NOW)).toEqual(low)
  expect(table.unitPrices('claude-haiku-5-5', 100_001, NOW)).toEqual(high)
})

test('cost is exact and charges thinking once, as output', () => {
  const prices = table.unitPrices('claude-sonnet-5-5', totalInputTokens(usage), NOW)
  if (prices === null) throw new Error('no price')
  expect(totalInputTokens(usage)).toBe(2915)
  expect(costNanoUsd(usage, prices)).toBe(
    BigInt(3 * 2000 + 505 * 2500 + 7 * 4000 + 2400 * 100 + 120 * 10_000),
  )
})

test('cost stays exact where a double would not', () => {
  const prices = { input: 9007, output: 1, cacheWrite5m: 0, cacheWrite1h: 0, cacheRead: 0 }
  const huge = { ...usage, inputTokens: 1_000_000_000_001, outputTokens: 1 }
  expect(costNanoUsd(huge, prices)).toBe(9_007_000_000_009_008n)
})

test('an override wins from its date on, bands included', () => {
  const row = { input: 0.29, output: 1, cache_write_5m: 0.125, cache_write_1h: 2, cache_read: 0 }
  const overridden = loadPriceTable([
    { model: 'claude-haiku-5-5', ...row },
    { model: 'claude-sonnet-5-5', effective_from: '2026-12-01', ...row },
    { model: 'claude-next-9', ...row, above_prompt_tokens: 10 },
  ])
  expect(overridden.unitPrices('claude-haiku-5-5', 200_000, NOW)).toMatchObject({
    input: 290,
    cacheWrite5m: 125,
  })
  expect(overridden.unitPrices('claude-sonnet-5-5', 1, NOW)?.input).toBe(2000)
  expect(overridden.unitPrices('claude-sonnet-5-5', 1, new Date('2026-12-01'))?.input).toBe(290)
  expect(overridden.unitPrices('claude-next-9', 10, NOW)).toBeNull()
  expect(overridden.unitPrices('claude-next-9', 11, NOW)?.input).toBe(290)
})

const valid = {
  model: 'm',
  input: 1,
  output: 1,
  cache_write_5m: 1,
  cache_write_1h: 1,
  cache_read: 1,
}

test.each([
  ['a price finer than a nano-USD per token', [{ ...valid, output: 0.0005 }], '[0].output'],
  ['a missing price', [valid, { ...valid, cache_read: undefined }], '[1].cache_read'],
  ['a negative price', [{ ...valid, input: -1 }], '[0].input'],
  ['a date that is none', [{ ...valid, effective_from: '2026-13-01' }], '[0].effective_from'],
  ['a misspelt field', [{ ...valid, cache_reads: 1 }], 'cache_reads'],
  ['an object instead of a list', valid, 'must be a list'],
])('%s is refused by name', (_, override, named) => {
  try {
    loadPriceTable(override)
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown
    expect(thrown.code).toBe('invalid_input')
    expect(thrown.message).toContain(named)
    return
  }
  throw new Error('expected a refusal')
})

test('tokens are estimated from UTF-8 bytes', () => {
  expect(estimateTokens('')).toBe(0)
  expect(estimateTokens('abc')).toBe(1)
  expect(estimateTokens('abcdefg')).toBe(2)
  expect(estimateTokens('é'.repeat(7))).toBe(4)
})

test('a place of its own costs a tenth more from 4.6 on, of every kind of token', () => {
  const inUs = { geo: 'surcharged', isFast: false } as const
  const price = (model: string, rate?: Rate) => table.unitPrices(model, 1, NOW, rate)
  expect(price('claude-sonnet-5-5', inUs)).toEqual({
    input: 2200,
    output: 11_000,
    cacheWrite5m: 2750,
    cacheWrite1h: 4400,
    cacheRead: 110,
  })
  expect(price('claude-opus-4-6', inUs)).toMatchObject({ input: 5500, output: 27_500 })
  // 137.5: never less than what is billed.
  expect(price('claude-haiku-5-5', inUs)?.cacheWrite5m).toBe(138)
  for (const model of ['opus-4-5-20251101', 'sonnet-4-5', 'haiku-4-5-20251001']) {
    expect(price(`claude-${model}`, inUs)).toEqual(price(`claude-${model}`))
  }
  expect(price('claude-opus-5-5', { geo: 'anywhere', isFast: true })).toMatchObject({
    input: 8000,
    output: 40_000,
    cacheRead: 400,
  })
})

test('the dearest price of a call is that of every band and place it may be in', () => {
  const haiku = (inputAtMost: number) => table.dearestPrices('claude-haiku-5-5', inputAtMost, NOW)
  expect(haiku(100_000)).toMatchObject({ input: 110, output: 550 })
  expect(haiku(100_001)).toMatchObject({ input: 550, output: 2750 })
  expect(table.dearestPrices('claude-haiku-4-5', 9, NOW)).toMatchObject({ input: 1000 })
  expect(table.dearestPrices('claude-next-9', 9, NOW)).toBeNull()
  const row = {
    model: 'odd',
    input: 3,
    output: 1,
    cache_write_5m: 1,
    cache_write_1h: 1,
    cache_read: 1,
  }
  const cheaperWhenLong = loadPriceTable([
    row,
    { ...row, input: 1, output: 2, above_prompt_tokens: 10 },
  ])
  expect(cheaperWhenLong.dearestPrices('odd', 11, NOW)).toMatchObject({ input: 3300, output: 2200 })
})
