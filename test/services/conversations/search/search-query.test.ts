import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Slice } from '../../../../src/concurrency/slices.ts'
import {
  foldableParts,
  foldText,
} from '../../../../src/services/conversations/search/folded-text.ts'
import { SearchQuery } from '../../../../src/services/conversations/search/search-query.ts'
import { snippetOf } from '../../../../src/services/conversations/search/snippet.ts'

const FOX = 'The quick\n\n brown FOX'

test.each([
  ['a word in any case', 'QUICK', FOX, true],
  ['every word, in any order', 'fox quick', FOX, true],
  ['not some of the words', 'fox dog', FOX, false],
  ['part of a word', 'uic', FOX, true],
  ['a phrase over a line break', '"quick brown"', FOX, true],
  ['no phrase in another order', '"brown quick"', FOX, false],
  ['a phrase in typographic quotes', '“quick brown”', FOX, true],
  ['a phrase that was never closed', '"quick brown', FOX, true],
  ['full-width letters by plain ones', 'fox', 'ＦＯＸ', true],
  ['a composed accent by one of two characters', 'caf\u00e9', 'cafe\u0301', true],
  ['a ligature by its letters', 'office', 'o\ufb03ce', true],
  ['Greek with a final sigma', 'ΟΔΟΣ', 'οδος', true],
  ['German in upper case', 'STRASSE', 'Hauptstraße 1', true],
  ['the same the other way', 'straße', 'HAUPTSTRASSE 1', true],
  ['Chinese without spaces', '東京', '私は東京に住んでいます', true],
  ['Arabic', 'سلام', 'السلام عليكم', true],
  ['what would be a pattern elsewhere, as it is', '.*', 'a.*b', true],
  ['no pattern', '.*', 'anything', false],
  ['a percent sign, as it is', '100%', 'only 100 of them', false],
])('it finds %s', (_name, query, text, expected) => {
  expect(new SearchQuery(query).matches(text)).toBe(expected)
})

test.each(['', '   ', '""', '" "', '“”'])('a query without a word is refused: %j', (query) => {
  expect(() => new SearchQuery(query)).toThrow('must hold a word')
})

test('a query of too many words is refused', () => {
  const words = Array.from({ length: 21 }, (_, index) => `w${index}`).join(' ')
  expect(() => new SearchQuery(words)).toThrow('at most 20 words')
})

test('a text is found by any part of it, and shown with that part', async () => {
  const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 })
  const part = fc.tuple(texts, fc.nat(), fc.integer({ min: 1, max: 12 }))
  await fc.assert(
    fc.asyncProperty(part, async ([text, at, length]) => {
      const characters = [...text]
      const start = at % characters.length
      const word = characters
        .slice(start, start + length)
        .join('')
        .replaceAll(/["“”„]/g, ' ')
      fc.pre(/[\p{L}\p{N}]/u.test(word) && text.includes(word.trim()))
      const query = new SearchQuery(`"${word}"`)
      fc.pre(query.matches(text))
      const snippet = await snippetOf(text, query, new Slice())
      expect(snippet.length).toBeLessThanOrEqual(162)
      expect(query.matches(snippet)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('a snippet is cut out of the original text, around the first hit', async () => {
  const text = `${'before '.repeat(100)}ﬁnd  Me\nhere${' after'.repeat(100)}`
  const snippet = await snippetOf(text, new SearchQuery('"find me"'), new Slice())
  expect(snippet).toContain('ﬁnd Me here')
  expect(snippet).toMatch(/^….*…$/)
  expect(snippet.length).toBeLessThanOrEqual(162)
})

test('a snippet is around a hit at the end of a very long text whose folded form is longer', async () => {
  const text = `${'\ufdfa'.repeat(300_000)} needle in it`
  const snippet = await snippetOf(text, new SearchQuery('needle'), new Slice())
  expect(snippet).toMatch(/needle in it$/)
})

test('a snippet never holds half a character', async () => {
  const text = `${'🦊'.repeat(200)}needle${'🦊'.repeat(200)}`
  const snippet = await snippetOf(text, new SearchQuery('needle'), new Slice())
  expect(snippet.isWellFormed()).toBe(true)
})

test('a hostile query of combining marks takes no time worth mentioning', () => {
  const marks = `a${'\u0301'.repeat(400)}`
  expect(new SearchQuery(marks).matches(`${'a\u0301'.repeat(100_000)}`)).toBe(false)
})

test('a text folds part by part as it folds whole', () => {
  const odd = fc.constantFrom(
    ...['a', 'Σ', ' ', '\n', '\u00a0', '\u00a8', '\u0301', '\u1112', '\u1161', '\u11ab', '\uac00'],
    ...['\ufb03', '\ufdfa', '\ufe70', '\uff9e', '\uff76', '\uffc2', '\uffa1', '\u037a', '🦊', '東'],
  )
  const texts = fc.array(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 3 })))
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 8 }), (pieces, length) => {
      const text = pieces.join('')
      const parts = [...foldableParts(text, length)]
      expect(parts.join('')).toBe(text)
      expect(parts.map(foldText).join('')).toBe(foldText(text))
    }),
    { numRuns: 5000 },
  )
})

test('a long text is compared as a short one is, and leaves the event loop free meanwhile', async () => {
  const text = `needle${' \ufb03ce and Word'.repeat(300_000)} the  end`
  let rounds = 0
  let isDone = false
  const count = () => {
    rounds += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  const slice = new Slice()
  const found = ['needle "the end"', '"ffice and word"', 'absent'].map((query) =>
    new SearchQuery(query).matchesLong(text, slice),
  )
  expect(await Promise.all(found)).toEqual([true, true, false])
  isDone = true
  expect(rounds).toBeGreaterThan(5)
})
