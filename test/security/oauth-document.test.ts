/** docs/SECURITY.md against the tests it names. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('../../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')

/** The last cell of each row that names a test: its file, without the ending, and its title. */
const named = [...read('docs/SECURITY.md').matchAll(/\| `([\w/-]+)`: ([^|]+) \|$/gm)].map(
  ([, file = '', title = '']) => ({ file: `test/${file}.test.ts`, title }),
)

/** As they stand in the source: tests, groups and templates of both. */
function titlesOf(file: string): string[] {
  const calls = /\b(?:test|describe)(?:\.\w+)?\b[^'"`]*?\(\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)")/g
  const afterTable = /\)\(\s*(?:'((?:[^'\\]|\\.)*)'|"([^"]*)")/g
  const source = read(file)
  return [...source.matchAll(calls), ...source.matchAll(afterTable)].map(
    ([, single, double]) => single ?? double ?? '',
  )
}

test('every attack and every standard names a test that there is', () => {
  expect(named.length).toBeGreaterThan(80)
  const missing = named.filter(({ file, title }) => !titlesOf(file).includes(title))
  expect(missing).toEqual([])
})

test('every row of its lists of tests names one', () => {
  const [, lists = ''] = read('docs/SECURITY.md').split(
    '\n## Attacks, and the tests that try them\n',
  )
  const rows = [...lists.matchAll(/^\|(?!---| attack \|| of \|).*$/gm)]
  expect(rows.length).toBe(named.length)
})

test.each(['oauth-attacks', 'oauth-outside'])('every test of %s stands in the lists', (name) => {
  const file = `test/security/${name}.test.ts`
  const listed = named.filter((row) => row.file === file).map(({ title }) => title)
  const tests = [...read(file).matchAll(/^ *test\(\s*(?:'([^'\n]*)'|"([^"\n]*)")/gm)]
  expect(tests.length).toBeGreaterThan(5)
  for (const [, single, double] of tests) expect(listed).toContain(single ?? double)
})
