import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { estimateTokens } from '../../../../src/claude/prices/tokens.ts'
import {
  fitHistory,
  halveHistory,
  type Turn,
  TurnsFromNewest,
} from '../../../../src/services/conversations/history/history-window.ts'

const NO_TOKEN_LIMIT = Number.POSITIVE_INFINITY
const text = (value: string) => [{ type: 'text', text: value }]

/** Turns of 70 bytes on each side: 20 tokens each, by the estimate. */
const turnsOf = (count: number): Turn[] =>
  Array.from({ length: count }, (_, index) => ({
    position: index * 2 + 1,
    user: text('u'.repeat(70)),
    assistant: text('a'.repeat(70)),
    tokens: TOKENS_PER_TURN,
  }))
const TOKENS_PER_TURN = 2 * estimateTokens('u'.repeat(70))

describe('pairing up stored messages', () => {
  type Message = Parameters<TurnsFromNewest['add']>[0]
  const user = (position: number, content = text(`u${position}`)): Message => ({
    position,
    role: 'user',
    content,
  })
  const answer = (position: number, content = text(`a${position}`)): Message => ({
    position,
    role: 'assistant',
    content,
  })

  const paired = (oldestFirst: readonly Message[]) => {
    const turns = new TurnsFromNewest()
    for (const message of oldestFirst.toReversed()) turns.add(message)
    return turns
  }
  const toTurns = (oldestFirst: readonly Message[]) => paired(oldestFirst).oldestFirst()

  test('a question and its answer are one turn', () => {
    expect(toTurns([user(1), answer(2), user(5), answer(6)])).toEqual([
      { position: 1, user: text('u1'), assistant: text('a2'), tokens: 2 },
      { position: 5, user: text('u5'), assistant: text('a6'), tokens: 2 },
    ])
  })

  test('what is never sent again is dropped at once', () => {
    const thinking = { type: 'thinking', thinking: 't'.repeat(1000), signature: 's' }
    const [turn] = toTurns([user(1), answer(2, [thinking as never, ...text('a')])])
    expect(turn?.assistant).toEqual(text('a'))
  })

  test('they pass a limit as soon as the newest of them do', () => {
    const turns = paired([user(1), answer(2), user(3), answer(4)])
    const passes = (maxMessages: number, maxTokens: number) =>
      turns.passes({ maxMessages, maxTokens })
    expect([passes(5, 4), passes(4, 4), passes(5, 3)]).toEqual([false, true, true])
  })

  test.each([
    ['a question without an answer', [user(1), user(3), answer(4)]],
    ['an answer without a question', [answer(2), user(3), answer(4)]],
    ['an answer that is not the next message', [user(1), answer(4), user(3), answer(4)]],
    ['an answer of blanks', [user(1), answer(2, text(' \n')), user(3), answer(4)]],
    [
      'a question of nothing visible',
      [user(1, text('\u200b\ufeff')), answer(2), user(3), answer(4)],
    ],
    [
      'an answer of thinking alone',
      [user(1), answer(2, [{ type: 'thinking', text: '' }]), user(3), answer(4)],
    ],
    ['an answer of nothing', [user(1), answer(2, []), user(3), answer(4)]],
  ])('%s is left out whole', (_name, messages) => {
    expect(toTurns(messages).map(({ position }) => position)).toEqual([3])
  })
})

describe('the limit on messages', () => {
  const kept = (turns: number, maxMessages: number) =>
    fitHistory(turnsOf(turns), { maxMessages, maxTokens: NO_TOKEN_LIMIT }).length

  test.each([
    ['all while they fit with the new message', 49, 100, 49],
    ['60 % once they do not', 50, 100, 30],
    ['60 % of a small limit, in whole turns', 5, 10, 3],
    ['none where the limit is for the new message alone', 1, 2, 0],
    ['nothing of nothing', 0, 2, 0],
  ])('keeps %s', (_name, turns, maxMessages, expected) => {
    expect(kept(turns, maxMessages)).toBe(expected)
  })

  test('a remembered cut moves in large steps: a limit of 20 cuts every fourth turn, not every one', () => {
    const all = turnsOf(100)
    let start = 0
    let cuts = 0
    for (let turn = 0; turn < all.length; turn++) {
      const sent = fitHistory(all.slice(start, turn), { maxMessages: 20, maxTokens: 1e9 })
      if (sent.length < turn - start) cuts += 1
      start = turn - sent.length
      expect(sent.length * 2 + 1).toBeLessThanOrEqual(20)
    }
    // 10 turns fill it, then 6 are kept, and every fourth turn after that cuts again.
    expect(cuts).toBe(Math.floor((100 - 1 - 10) / 4) + 1)
  })
})

describe('the limit on tokens', () => {
  const kept = (turns: number, maxTokens: number) =>
    fitHistory(turnsOf(turns), { maxMessages: 1000, maxTokens }).length

  test.each([
    ['all that fit exactly', 10, 10 * TOKENS_PER_TURN, 10],
    ['60 % of the limit once one token is missing', 10, 10 * TOKENS_PER_TURN - 1, 5],
    ['none when not even one fits', 3, TOKENS_PER_TURN - 1, 0],
    ['none when there is no room at all', 3, -1, 0],
  ])('keeps %s', (_name, turns, maxTokens, expected) => {
    expect(kept(turns, maxTokens)).toBe(expected)
  })
})

test('what is kept is always the newest, whole, and within both limits', () => {
  const sizes = fc.array(fc.nat(400), { maxLength: 60 })
  const limits = fc.record({
    maxMessages: fc.integer({ min: 2, max: 80 }),
    maxTokens: fc.nat(4000),
  })
  fc.assert(
    fc.property(sizes, limits, (lengths, { maxMessages, maxTokens }) => {
      const turns = lengths.map((length, index) => ({
        position: index * 2 + 1,
        user: text('u'.repeat(length)),
        assistant: text('a'),
        tokens: estimateTokens('u'.repeat(length)) + estimateTokens('a'),
      }))
      const fitted = fitHistory(turns, { maxMessages, maxTokens })
      expect(fitted).toEqual(turns.slice(turns.length - fitted.length))
      expect(fitted.length * 2 + 1).toBeLessThanOrEqual(maxMessages)
      const tokens = fitted.reduce(
        (sum, { user }) => sum + estimateTokens(user[0]?.text ?? '') + estimateTokens('a'),
        0,
      )
      expect(tokens).toBeLessThanOrEqual(maxTokens)
    }),
  )
})

describe('halving', () => {
  test('keeps the newer half', () => {
    const turns = turnsOf(10)
    expect(halveHistory(turns)).toEqual(turns.slice(5))
  })

  test('ends at nothing, and gets shorter every time', () => {
    let turns = turnsOf(9)
    const lengths = []
    while (turns.length > 0) {
      turns = halveHistory(turns)
      lengths.push(turns.length)
    }
    expect(lengths).toEqual([4, 2, 1, 0])
  })
})
