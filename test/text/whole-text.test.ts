import { expect, test } from 'vitest'
import { beginningOf, endOf, wholeText } from '../../src/text/whole-text.ts'

const FACE = '\u{1f600}'
const [HIGH = '', LOW = ''] = FACE.split('')

test('text in whole characters is itself', () => {
  for (const text of ['', 'abc', FACE, `a${FACE}b${FACE}`]) expect(wholeText(text)).toBe(text)
})

test('half a pair at the end waits for its other half, any other is replaced', () => {
  expect(wholeText(`a${HIGH}`)).toBe('a')
  expect(wholeText(`a${HIGH}b${LOW}${HIGH}`)).toBe('a\ufffdb\ufffd')
  expect(wholeText(LOW)).toBe('\ufffd')
})

test('what is cut is cut between characters, wherever the cut falls', () => {
  const text = `${FACE.repeat(20)}x${FACE.repeat(20)}`
  for (let length = 1; length <= text.length; length++) {
    for (const part of [beginningOf(text, length), endOf(text, length)]) {
      expect(part.isWellFormed()).toBe(true)
      expect(part).not.toContain('\ufffd')
      expect(part.length).toBeLessThanOrEqual(length)
      expect(part.length).toBeGreaterThanOrEqual(length - 1)
    }
    expect(text.startsWith(beginningOf(text, length))).toBe(true)
    expect(text.endsWith(endOf(text, length))).toBe(true)
  }
})
