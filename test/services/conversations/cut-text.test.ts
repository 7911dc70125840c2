import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutText } from '../../../src/services/conversations/cut-text.ts'

const piecesOf = (text: string, maxBytes: number) => {
  const pieces: string[] = []
  let offset: number | null = 0
  while (offset !== null) {
    const cut: ReturnType<typeof cutText> = cutText(text, offset, maxBytes)
    pieces.push(cut.text)
    offset = cut.nextOffset
  }
  return pieces
}

test('pieces are the whole, none too long, and no character is in two of them', () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 })
  fc.assert(
    fc.property(text, fc.integer({ min: 4, max: 40 }), (whole, maxBytes) => {
      const pieces = piecesOf(whole, maxBytes)
      expect(pieces.join('')).toBe(whole)
      for (const piece of pieces) {
        expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(maxBytes)
        expect(piece.isWellFormed()).toBe(true)
      }
    }),
  )
})

test.each([
  ['all of what fits', 'abc', 0, 3, { text: 'abc', nextOffset: null }],
  ['as much as fits', 'abcd', 0, 3, { text: 'abc', nextOffset: 3 }],
  ['whole characters', 'aé€😀', 0, 6, { text: 'aé€', nextOffset: 3 }],
  ['from an offset on', 'aé€😀', 3, 4, { text: '😀', nextOffset: null }],
  ['nothing of nothing', '', 0, 4, { text: '', nextOffset: null }],
  ['nothing beyond the end', 'abc', 7, 4, { text: '', nextOffset: null }],
])('it is %s', (_name, text, offset, maxBytes, expected) => {
  expect(cutText(text, offset, maxBytes)).toEqual(expected)
})
