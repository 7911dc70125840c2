/** README.md and db/README.md against the tools, errors and tables there are. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadPriceTable } from '../src/claude/prices/prices.ts'
import { ERROR_CODES } from '../src/errors.ts'
import { tools } from '../src/mcp/tools/index.ts'
import { sendMessage } from '../src/mcp/tools/send-message.ts'
import { createTelemetry } from '../src/telemetry.ts'

const root = new URL('../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')

/** The cells of each row of the table under a heading, its own heading rows left out. */
function tableUnder(heading: string): string[][] {
  const [, section = ''] = read('README.md').split(`\n## ${heading}\n`)
  const table = /(?:^\|.*\|\n)+/m.exec(section)?.[0] ?? ''
  const rows = table.trim().split('\n').slice(2)
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )
}

const code = (text: string) => `\`${text}\``

describe('docs/ARCHITECTURE.md', () => {
  const text = read('docs/ARCHITECTURE.md')

  test('names only files that are there, and is short', () => {
    const names = [...text.matchAll(/`((?:src|test|db|bench)\/[\w./-]+)`/g)].map(
      ([, name = '']) => name,
    )
    expect(names.length).toBeGreaterThan(40)
    for (const name of names) expect(existsSync(new URL(name, root)), name).toBe(true)
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(120)
  })
})

describe('README.md', () => {
  test('lists the tools in their order, and whether each needs a token', () => {
    const listed = tableUnder('Tools').map(([name, token]) => [name, token])
    const expected = tools.map(({ name, access }) => [code(name), access === 'user' ? 'yes' : 'no'])
    expect(listed).toEqual(expected)
  })

  test('lists the arguments of send_message', () => {
    const listed = tableUnder('send_message').map(([name]) => name)
    expect([...listed].sort()).toEqual(Object.keys(sendMessage.input.shape).map(code).sort())
  })

  test('lists every error with its status and whether to retry', () => {
    const listed = tableUnder('Errors').map(([name, status, retry]) => [name, status, retry])
    const expected = Object.entries(ERROR_CODES).map(([name, { status, retryable }]) => [
      code(name),
      String(status),
      retryable ? 'yes' : 'no',
    ])
    expect(listed).toEqual(expected)
  })

  test('says of each tool and error what it does', () => {
    const texts = ['Tools', 'Errors'].flatMap((heading) =>
      tableUnder(heading).map((row) => row.at(-1)),
    )
    expect(texts).toHaveLength(tools.length + Object.keys(ERROR_CODES).length)
    for (const text of texts) expect(text?.length).toBeGreaterThan(15)
  })

  test.each([
    'README.md',
    'docs/ARCHITECTURE.md',
    'docs/OPERATIONS.md',
    'docs/SECURITY.md',
    'db/README.md',
  ])('the links of %s lead somewhere', (file) => {
    const links = [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    expect(links.length).toBeGreaterThan(0)
    for (const link of links) expect(() => follow(file, link), link).not.toThrow()
  })
})

/** @throws Error when the file or its heading does not exist. */
function follow(from: string, link: string): void {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? new URL(from, root) : new URL(path, new URL(from, root))
  if (!existsSync(target)) throw new Error(`no file ${path}`)
  if (anchor === undefined) return
  const headings = [...readFileSync(target, 'utf8').matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9 _-]/g, '')
      .replaceAll(' ', '-'),
  )
  if (!headings.includes(anchor)) throw new Error(`no heading ${anchor}`)
}

describe('docs/OPERATIONS.md', () => {
  const text = read('docs/OPERATIONS.md')

  test('its example of PRICES_FILE is one that the gateway takes', () => {
    const [, example = ''] = /```json\n([^`]+)```/.exec(text) ?? []
    const [row] = JSON.parse(example)
    const prices = loadPriceTable([{ ...row, model: 'made-up', output: 12 }])
    const day = new Date(row.effective_from)
    expect(prices.unitPrices('made-up', 1, day)).toMatchObject({ input: 2000, output: 12_000 })
    expect(prices.unitPrices('made-up', 1, new Date(day.getTime() - 1))).toBeNull()
  })

  test('lists every series of the gateway in GET /metrics', async () => {
    const telemetry = createTelemetry()
    telemetry.watchRunningAnswers(() => 0)
    const exposed = (await telemetry.text()).matchAll(/^# TYPE (gateway_\w+)/gm)
    const listed = text.matchAll(/^\| `(gateway_\w+)` \|/gm)
    expect([...listed].map(([, name]) => name).sort()).toEqual(
      [...exposed].map(([, name]) => name).sort(),
    )
  })
})

describe('db/README.md', () => {
  const migrations = readdirSync(new URL('db/migrations/', root))
    .map((file) => read(`db/migrations/${file}`))
    .join('\n')
  const tables = [...migrations.matchAll(/^create (?:unlogged )?table (\w+)/gm)].map(
    ([, name]) => name,
  )

  test('has a section for every table, in the order of the migrations, and no other', () => {
    const headings = [...read('db/README.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
    expect(tables.length).toBeGreaterThan(5)
    expect(headings).toEqual(tables)
  })

  test('names every sealed column', () => {
    const sealed = migrations.matchAll(/comment on column (\w+)\.(\w+) is '[^']*\bsealed\b/g)
    const sections = new Map(
      read('db/README.md')
        .split('\n## ')
        .map((text) => [text.split('\n')[0], text]),
    )
    const columns = [...sealed].map(([, table = '', column = '']) => [table, column])
    expect(columns.length).toBeGreaterThan(5)
    for (const [table, column = ''] of columns) {
      expect(sections.get(table), `${table}.${column}`).toContain(code(column))
    }
  })
})
