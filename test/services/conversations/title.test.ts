import { expect, test } from 'vitest'
import { toTitle } from '../../../src/services/conversations/title.ts'

test.each([
  ['one line', 'What is a qubit?', 'What is a qubit?'],
  ['the first line with text', '\n  \n\tHello there\nand more', 'Hello there'],
  ['white space as single blanks', '  a\t\tb   c  ', 'a b c'],
  ['Windows line ends', 'first\r\nsecond', 'first'],
  ['80 characters whole', 'x'.repeat(80), 'x'.repeat(80)],
  ['a longer word cut', 'x'.repeat(81), `${'x'.repeat(79)}…`],
  ['nothing to read', ' \n\t\n', 'Untitled'],
])('a title is %s', (_name, message, title) => {
  expect(toTitle(message)).toBe(title)
})

test('a long line is cut between words', () => {
  const title = toTitle('word '.repeat(30))
  expect(title).toBe(`${'word '.repeat(15).trim()}…`)
})

test('a cut never splits a character in two', () => {
  expect(toTitle('🦊'.repeat(100))).toBe(`${'🦊'.repeat(79)}…`)
})
