import fc from 'fast-check'
import { expect, test } from 'vitest'
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

test('a text is found by any part of it, and shown with that part', () => {
  const texts = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 400 })
  const part = fc.tuple(texts, fc.nat(), fc.integer({ min: 1, max: 12 }))
  fc.assert(
    fc.property(part, ([text, at, length]) => {
      const characters = [...text]
      const start = at % characters.length
      const word = characters
        .slice(start, start + length)
        .join('')
        .replaceAll(/["“”„]/g, ' ')
      fc.pre(/[\p{L}\p{N}]/u.test(word) && text.includes(word.trim()))
      const query = new SearchQuery(`"${word}"`)
      fc.pre(query.matches(text))
      const snippet = snippetOf(text, query)
      expect(snippet.length).toBeLessThanOrEqual(162)
      expect(query.matches(snippet)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('a snippet is cut out of the original text, around the first hit', () => {
  const text = `${'before '.repeat(100)}ﬁnd  Me\nhere${' after'.repeat(100)}`
  const snippet = snippetOf(text, new SearchQuery('"find me"'))
  expect(snippet).toContain('ﬁnd Me here')
  expect(snippet).toMatch(/^….*…$/)
  expect(snippet.length).toBeLessThanOrEqual(162)
})

test('a snippet is around a hit at the end of a very long text whose folded form is longer', () => {
  const text = `${'\ufdfa'.repeat(300_000)} needle in it`
  expect(snippetOf(text, new SearchQuery('needle'))).toMatch(/needle in it$/)
})

test('a snippet never holds half a character', () => {
  const text = `${'🦊'.repeat(200)}needle${'🦊'.repeat(200)}`
  expect(snippetOf(text, new SearchQuery('needle')).isWellFormed()).toBe(true)
})

test('a hostile query of combining marks takes no time worth mentioning', () => {
  const marks = `a${'\u0301'.repeat(400)}`
  expect(new SearchQuery(marks).matches(`${'a\u0301'.repeat(100_000)}`)).toBe(false)
})
