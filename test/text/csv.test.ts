import { expect, test } from 'vitest'
import { csvLine } from '../../src/text/csv.ts'

test.each([
  ['=1+1', "'=1+1"],
  ['+1', "'+1"],
  ['-1', "'-1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['＝1+1', "'＝1+1"],
  ['\t=1', "'\t=1"],
  ['\r=1', `"'\r=1"`],
  ['=HYPERLINK("https://e.example","x")', `"'=HYPERLINK(""https://e.example"",""x"")"`],
])('%j is no formula', (cell, written) => {
  expect(csvLine([cell, 'b'])).toBe(`${written},b\r\n`)
})

test.each([
  ['plain', 'plain'],
  ['a,b', '"a,b"'],
  ['a;b', '"a;b"'],
  ['say "hi"', '"say ""hi"""'],
  ['two\nlines', '"two\nlines"'],
  ['a=b', 'a=b'],
])('%j stays one cell', (cell, written) => {
  expect(csvLine([cell, 2])).toBe(`${written},2\r\n`)
})

test('numbers are written as they are, also below zero', () => {
  expect(csvLine([-1, 0.5])).toBe('-1,0.5\r\n')
})
