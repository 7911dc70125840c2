/** What clients make of the names of tools, with the server's name that README.md and the pages use. */

import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SETTINGS } from '../../src/config/settings.ts'
import { NAME_IN_CLIENTS, USUAL_TOOL_PREFIX } from '../../src/config/tool-names.ts'
import { createToolsets } from '../../src/mcp/toolset.ts'

const root = new URL('../../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')

type Scheme = (server: string) => string

/** What stands before a tool's name, and the longest name that is taken. */
const CLIENTS: [client: string, before: Scheme, longest: number][] = [
  ['AI SDK', () => '', 64],
  ['Claude Code', (server) => `mcp__${server}__`, 64],
  ['Cline', () => 'c1a2b3c0mcp0', 64],
  ['Codex', (server) => `mcp__${server}__`, 64],
  ['Continue', (server) => `${server}_`, 64],
  ['Copilot CLI', (server) => `${server}-`, 64],
  // Of 60 characters it says that they exceed 60.
  ['Cursor', (server) => `${server}-`, 59],
  ['Gemini CLI', (server) => `mcp_${server}_`, 63],
  ['LangChain', (server) => `mcp__${server}__`, 64],
  ['Mastra', (server) => `${server}_`, 64],
  ['OpenAI Agents SDK', (server) => `mcp_${server}__`, 64],
  ['opencode', (server) => `${server}_`, 64],
  ['Qwen Code', (server) => `mcp__${server}__`, 63],
  ['VS Code', (server) => `mcp_${server}_`, 64],
]

const toolsets = createToolsets(USUAL_TOOL_PREFIX)
const namesOf = (toolset: typeof toolsets.usual) =>
  toolset.listFor(null).tools.map(({ name }) => name)

const tooLong = (names: string[], before: string, longest: number) =>
  names.filter((name) => before.length + name.length > longest)

test.each(CLIENTS)('%s can call every tool', (_client, before, longest) => {
  const names = namesOf(toolsets.usual)
  expect(tooLong(names, before(NAME_IN_CLIENTS), longest)).toEqual([])
  for (const name of names) {
    expect(before(NAME_IN_CLIENTS) + name).toMatch(/^[A-Za-z_][A-Za-z0-9_-]*$/)
  }
})

test('also with the longest prefix there may be', () => {
  const prefix = 'x'.repeat(24)
  expect(SETTINGS.TOOL_PREFIX.parse(prefix)).toBe(prefix)
  const names = namesOf(createToolsets(prefix).usual)
  const failing = CLIENTS.filter(
    ([, before, longest]) => tooLong(names, before(NAME_IN_CLIENTS), longest).length > 0,
  )
  expect(failing).toEqual([])
})

test('a connector of claude.ai in Claude Code needs the short names, and they fit', () => {
  const before = 'mcp__claude_ai_Claude_API_Gateway__'
  expect(tooLong(namesOf(toolsets.usual), before, 64)).not.toEqual([])
  expect(tooLong(namesOf(toolsets.short), before, 64)).toEqual([])
})

test('README.md gives the server that name in every client', () => {
  const readme = read('README.md')
  const names = [
    ...readme.matchAll(/mcp (?:add|install) (?:--(?:scope|transport) \w+ |--yes )*([\w-]+)/g),
    ...readme.matchAll(/"(?:mcpServers|servers)": \{\s*"([^"]+)"/g),
    ...readme.matchAll(/"type": "url", "name": "([^"]+)"/g),
    ...readme.matchAll(/"mcp_server_name": "([^"]+)"/g),
    ...readme.matchAll(/\bmcp__(\w+?)__/g),
  ].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(6)
  expect(new Set(names)).toEqual(new Set([NAME_IN_CLIENTS]))
})

test('so do the pages and what is said at start', () => {
  const files = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
  const commands = files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...read(`src/${file}`).matchAll(/mcp add --transport http \$\{(\w+)\}/g)])
    .map(([, name]) => name)
  expect(commands.length).toBeGreaterThan(1)
  expect(new Set(commands)).toEqual(new Set(['NAME_IN_CLIENTS']))
})
