import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  gainsByCount,
  holdBoundOf,
  likelyInputTokens,
} from '../../../src/claude/pass-through/hold-bound.ts'
import type { RequestFacts } from '../../../src/claude/pass-through/request-facts.ts'
import { ANTHROPIC_PRICES } from '../../../src/claude/prices/price-list.ts'
import { PriceTable } from '../../../src/claude/prices/prices.ts'
import { Budgets, UNLIMITED } from '../../../src/services/billing/budgets.ts'
import { costOf } from './cost.ts'

const AT = new Date('2026-11-28T12:00:00Z')
const prices = new PriceTable(ANTHROPIC_PRICES)

const FACTS: RequestFacts = {
  model: 'claude-opus-5-5',
  maxTokens: { value: 128_000, start: 0, end: 6 },
  isStream: true,
  isFast: false,
  endUserId: null,
  otherModels: [],
  hasOpenFallbacks: false,
  serverTools: [],
  cacheWrites: 'none',
  thinkingBudgetTokens: null,
  fallbackMaxTokens: null,
  textBytes: 50_000,
  images: 0,
  documents: 0,
  remoteSources: 0,
  isCountable: true,
  members: [],
  namesStored: false,
}

const NO_LIMIT = { nanoUsd: null, tokens: null }
const budgets = new Budgets({
  defaults: { day: NO_LIMIT, month: NO_LIMIT },
  unpricedModels: 'allow',
})
/** As it is reserved. */
const bound = (changes: Partial<RequestFacts> = {}) =>
  budgets.costOf(holdBoundOf({ ...FACTS, ...changes }, prices, AT), UNLIMITED)
const input = (changes: Partial<RequestFacts> = {}) => Number(bound(changes).inputNanoUsd)

test('a byte of text is at most a token, in the dearest region', () => {
  const found = bound()
  expect(found).toMatchObject({ maxTokens: 128_000, leastTokens: 16_384, outputNanoUsd: 22_000 })
  expect(found.inputTokens).toBe(51_024)
  expect(found.inputNanoUsd).toBe(51_024n * 5500n)
})

test('input may be written to the cache, which costs most for an hour', () => {
  expect(input()).toBe(51_024 * 5500)
  expect(input({ cacheWrites: '5m' })).toBe(51_024 * 5500)
  expect(input({ cacheWrites: '1h' })).toBe(51_024 * 8800)
})

test('fast costs twice, and the dearest of the models counts', () => {
  expect(bound({ isFast: true }).outputNanoUsd).toBe(44_000)
  expect(bound({ otherModels: ['claude-sonnet-5-5', 'claude-fable-5-2'] }).outputNanoUsd).toBe(
    44_000,
  )
  expect(bound({ otherModels: ['claude-of-next-year'] }).outputNanoUsd).toBeNull()
})

test('where Anthropic chooses the fallbacks, the dearest model that it serves counts', () => {
  const open = bound({ model: 'claude-haiku-4-5', hasOpenFallbacks: true })
  const [input, output] = ['input', 'output'].map((kind) =>
    Math.max(...ANTHROPIC_PRICES.map((price) => price[kind as 'input' | 'output'])),
  ) as [number, number]
  expect(open.outputNanoUsd).toBe((output * 11) / 10)
  expect(Number(open.inputNanoUsd)).toBeGreaterThanOrEqual(open.inputTokens * input)
  expect(bound({ hasOpenFallbacks: true, documents: 1 }).inputTokens).toBe(1_000_000)
})

test('a retired model, which Anthropic itself refuses, is held for at the dearest price', () => {
  const dearest = bound({ hasOpenFallbacks: true }).outputNanoUsd
  expect(bound({ model: 'claude-3-opus-20240229' }).outputNanoUsd).toBe(dearest)
  expect(bound({ otherModels: ['claude-3-opus-20240229'] }).outputNanoUsd).toBe(dearest)
})

test('a fallback that asks for more is held for with all of it', () => {
  const short = { maxTokens: { value: 100, start: 0, end: 3 } }
  expect(bound({ ...short, fallbackMaxTokens: 64_000 })).toMatchObject({
    maxTokens: 64_000,
    leastTokens: 64_000,
  })
  expect(bound({ fallbackMaxTokens: 32_000 })).toMatchObject({
    maxTokens: 128_000,
    leastTokens: 32_000,
  })
  expect(bound({ ...short, fallbackMaxTokens: 50 })).toMatchObject({
    maxTokens: 100,
    leastTokens: 100,
  })
})

test('the band is that of the longest prompt it may be', () => {
  const haiku = { model: 'claude-haiku-5-5' }
  expect(bound({ ...haiku, textBytes: 90_000 }).outputNanoUsd).toBe(550)
  expect(bound({ ...haiku, textBytes: 120_000 }).outputNanoUsd).toBe(2750)
})

test('images have a bound; documents and remote sources fill the window', () => {
  expect(bound({ images: 3 }).inputTokens).toBe(51_024 + 3 * 4784)
  expect(bound({ documents: 1 }).inputTokens).toBe(1_000_000)
  expect(bound({ remoteSources: 1, model: 'claude-haiku-4-5-20251001' }).inputTokens).toBe(200_000)
  expect(bound({ textBytes: 30_000_000 }).inputTokens).toBe(1_000_000)
})

test('documents that Anthropic counted have a bound, which is never above the window', () => {
  const pages = { ...FACTS, documents: 1 }
  const counted = (tokens: number, changes: Partial<RequestFacts> = {}) =>
    holdBoundOf({ ...pages, ...changes }, prices, AT, tokens).inputTokens
  expect(counted(20_000)).toBe(21_000 + 1024)
  expect(counted(5_000_000)).toBe(1_000_000)
  const search = { kind: 'web_search', maxUses: 1, maxContentTokens: null }
  expect(counted(20_000, { serverTools: [search] })).toBe(2 * (21_000 + 1024) + 25_000)
  expect(gainsByCount(pages)).toBe(true)
  expect(gainsByCount({ ...pages, isCountable: false })).toBe(false)
  expect(gainsByCount(FACTS)).toBe(false)
})

test('rounds of Anthropic’s tools read the prompt again, and searches cost a cent', () => {
  const search = { kind: 'web_search', maxUses: 3, maxContentTokens: null }
  const found = bound({ serverTools: [search] })
  expect(found.inputTokens).toBe(2 * 51_024 + 3 * 25_000)
  expect(found.inputNanoUsd).toBe(BigInt(found.inputTokens) * 5500n + 30_000_000n)
  const fetch = { kind: 'web_fetch', maxUses: null, maxContentTokens: 5000 }
  expect(bound({ serverTools: [fetch] }).inputTokens).toBe(2 * 51_024 + 10 * 5000)
})

test('a search among tools reads the prompt again, and what it finds is in the prompt', () => {
  const search = { kind: 'tool_search', maxUses: null, maxContentTokens: null }
  expect(bound({ serverTools: [search] }).inputTokens).toBe(2 * 51_024)
})

test('the least output stays above the budget of thinking, and below what was asked for', () => {
  expect(bound({ thinkingBudgetTokens: 30_000 }).leastTokens).toBe(30_001)
  expect(bound({ maxTokens: { value: 800, start: 0, end: 3 } }).leastTokens).toBe(800)
})

test('no call within its bounds costs more than what is held for it', () => {
  const models = fc.constantFrom(
    'claude-opus-5-5',
    'claude-haiku-5-5',
    'claude-sonnet-5',
    'claude-haiku-4-5',
  )
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(
      models,
      fc.constantFrom('none', '5m', '1h'),
      fc.boolean(),
      fc.nat(300_000),
      share,
      share,
      (model, cacheWrites, isFast, textBytes, written, used) => {
        const held = bound({ model, cacheWrites, isFast, textBytes })
        const cached = cacheWrites === 'none' ? 0 : Math.floor(held.inputTokens * written)
        const usage = {
          inputTokens: held.inputTokens - cached,
          cacheWrite5mTokens: cacheWrites === '5m' ? cached : 0,
          cacheWrite1hTokens: cacheWrites === '1h' ? cached : 0,
          cacheReadTokens: 0,
          outputTokens: Math.floor(held.maxTokens * used),
          thinkingTokens: 0,
        }
        const rate = { geo: 'surcharged' as const, isFast }
        const cost = costOf({ charges: [{ model, usage }], rate, webSearches: 0 }, prices, AT)
        const most = held.inputNanoUsd + BigInt(held.maxTokens) * BigInt(held.outputNanoUsd ?? 0)
        expect(cost).toBeLessThanOrEqual(most)
      },
    ),
  )
})

test('the likely input is far below its bound', () => {
  expect(likelyInputTokens(FACTS)).toBe(Math.ceil(50_000 / 3.5))
})
