/** What is said of a wrong value: plain English that names the field, wherever a rule refuses. */

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { loadPriceTable } from '../../src/claude/prices/prices.ts'
import { loadConfig } from '../../src/config/config.ts'
import { SETTINGS } from '../../src/config/settings.ts'
import { tools } from '../../src/mcp/tools/index.ts'
import { check, inWords } from '../../src/text/problems.ts'

const said = (rule: z.ZodType, value: unknown) =>
  check(rule, value).problems?.map((problem) => inWords(problem, 'the value'))

/** How zod speaks, and programs. */
const NOT_PLAIN =
  /expected|received|invalid|unrecogni[sz]ed|too (small|big)|undefined|NaN|[<>]=|\|/i

test('a value that keeps its rule is what the rule makes of it', () => {
  expect(check(z.object({ a: z.string().trim() }), { a: ' x ' })).toEqual({ data: { a: 'x' } })
})

describe('of a field', () => {
  const own = z.uuid('must be an id from list_sessions')
  const rules: [name: string, rule: z.ZodType, value: unknown, words: string][] = [
    ['text', z.string(), undefined, 'is missing'],
    ['text', z.string(), 7, 'must be text'],
    ['text', z.string().min(1), '', 'must not be empty'],
    ['text', z.string().min(3), 'ab', 'must have at least 3 characters'],
    ['text', z.string().max(1), 'ab', 'must have at most 1 character'],
    ['number', z.number(), '7', 'must be a number'],
    ['number', z.number(), undefined, 'is missing'],
    ['number', z.number(), Number.NaN, 'must be a number'],
    ['number', z.number().int(), 1.5, 'must be a whole number'],
    ['number', z.number().min(1), 0, 'must be at least 1'],
    ['number', z.number().max(200), 201, 'must be at most 200'],
    ['number', z.number().positive(), 0, 'must be more than 0'],
    ['number', z.number().multipleOf(5), 7, 'must be a multiple of 5'],
    ['boolean', z.boolean(), 'yes', 'must be true or false'],
    ['list', z.array(z.string()), 'a', 'must be a list'],
    ['list', z.array(z.string()).max(2), ['a', 'b', 'c'], 'must have at most 2 entries'],
    ['object', z.object({}), 'a', 'must be an object'],
    ['record', z.record(z.string(), z.unknown()), [], 'must be an object'],
    ['choice', z.enum(['day', 'month']), 'year', 'must be day or month'],
    ['choice', z.enum(['day', 'month']), undefined, 'is missing'],
    ['choice', z.enum(['a', 'b', 'c']), 'd', 'must be a, b or c'],
    ['choice', z.enum(['', 'a', 'b']), 'c', 'must be empty, a or b'],
    ['literal', z.literal(true), false, 'must be true'],
    ['id', z.uuid(), 'x', 'must be an id, for example 01a203ad-e234-7157-9eed-864f92cdb276'],
    ['day', z.iso.date(), 'x', 'must be a day, for example 2026-11-01'],
    ['URL', z.url(), 'x', 'must be a URL'],
    ['pattern', z.string().regex(/^a$/), 'b', 'must be written in another way'],
    ['either', z.union([z.string(), z.number()]), true, 'must be text or a number'],
    ['either', z.union([z.string(), z.number().min(1)]), 0, 'must be at least 1'],
    ['either', z.union([z.string(), z.number()]), undefined, 'is missing'],
    ['rule with words of its own', own, 'x', 'must be an id from list_sessions'],
    ['rule with words of its own', own, undefined, 'is missing'],
    ['refinement', z.string().refine(() => false, 'must be odd'), 'x', 'must be odd'],
  ]

  test.each(rules)('a %s (%#)', (_name, rule, value, words) => {
    expect(said(z.object({ field: rule }), { field: value })).toEqual([`field ${words}`])
    expect(said(rule, value)).toEqual([`the value ${words}`])
    expect(words).not.toMatch(NOT_PLAIN)
  })

  test('the place is named in full, and shortened where it is long', () => {
    const rule = z.object({ rows: z.array(z.record(z.string(), z.number())) })
    expect(said(rule, { rows: [{}, { [`k${'x'.repeat(300)}`]: 'a' }] })).toEqual([
      `rows.1.k${'x'.repeat(92)}… must be a number`,
    ])
  })

  test('unknown fields are named one by one', () => {
    const rule = z.strictObject({ a: z.string().optional() })
    expect(said(rule, { b: 1, c: 2 })).toEqual(['b is unknown', 'c is unknown'])
  })
})

describe('nothing that a rule of ours refuses is told in the words of zod', () => {
  const WRONG = [undefined, null, 7, 1.5, -1, 1e15, '', 'x', '\0', true, [], {}, [7], { x: 1 }]

  test.each(tools.map(({ name, input }) => [name, input.shape] as const))('%s', (_name, shape) => {
    for (const [field, rule] of Object.entries(shape)) {
      for (const value of [...WRONG, 'x'.repeat(4_000_001)]) {
        for (const { words } of check(rule as z.ZodType, value).problems ?? []) {
          expect(words, field).not.toMatch(NOT_PLAIN)
          expect(words, field).not.toMatch(/another way|no kind/)
        }
      }
    }
  })

  test.each(Object.keys(SETTINGS))('%s', (name) => {
    for (const value of ['x', '-1', '1.5', ':', '1'.repeat(30)]) {
      try {
        loadConfig({ [name]: value })
      } catch (error) {
        expect((error as Error).message).not.toMatch(NOT_PLAIN)
        expect((error as Error).message).not.toMatch(/another way|no kind/)
      }
    }
  })

  test('a price file', () => {
    const row = { model: 7, input: '1', output: -1, cache_write_5m: 1e9, x: 1, effective_from: 'y' }
    expect(() => loadPriceTable([row])).toThrow(
      'The price table is not valid: [0].model must be text; [0].effective_from must be a day, for example 2026-11-01; [0].input must be a number; [0].output must be at least 0; [0].cache_write_5m must be at most 1000000; [0].cache_write_1h is missing; [0].cache_read is missing; [0].x is unknown.',
    )
    expect(() => loadPriceTable({})).toThrow(
      'The price table is not valid: the file must be a list.',
    )
  })
})

test('whatever a rule refuses is told by way of here', () => {
  const src = new URL('../../src/', import.meta.url)
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (file) =>
      file.endsWith('.ts') &&
      /\.(safeParse|parse)\(\w+\)?\.error|prettifyError|ZodError|error\.issues/.test(
        readFileSync(new URL(file, src), 'utf8'),
      ),
  )
  expect(files).toEqual(['text/problems.ts'])
})
