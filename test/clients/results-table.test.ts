import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { clients, versionOf } from './clients.ts'
import { README, readmeCommand } from './readme.ts'
import { rowOf, rowsIn, withRows } from './results-table.ts'
import { steps } from './trial.ts'

const readme = readFileSync(README, 'utf8')

test('README.md lists the clients that are tried, with their versions, and no other', () => {
  const listed = rowsIn(readme).map(([title, version]) => [title, version])
  expect(listed).toEqual(clients.map((client) => [client.title, versionOf(client)]))
})

test('each client has a name and a title of its own, and exact versions', () => {
  for (const of of ['name', 'title'] as const) {
    expect(new Set(clients.map((client) => client[of])).size).toBe(clients.length)
  }
  for (const one of clients.flatMap(({ packages }) => packages)) {
    expect(one).toMatch(/^(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+$/)
  }
})

test('a row that is written takes the place of the one before, and only of that', () => {
  const [client] = clients.slice(1)
  if (client === undefined) throw new Error('there are two at least')
  const outcomes = new Map(steps.map((step) => [step, { says: `tried ${step}` }]))
  const row = rowOf(client, outcomes, '2026-01-01')
  const written = withRows(readme, [row], clients)
  expect(rowsIn(written)).toEqual(
    rowsIn(readme).map((one) => (one[0] === client.title ? row : one)),
  )
  expect(withRows(written, rowsIn(readme), clients)).toBe(readme)
})

test('a step that was not tried, and a client that was skipped, are not taken for successes', () => {
  const [client] = clients
  if (client === undefined) throw new Error('there is one at least')
  const day = '2026-01-01'
  const failed = new Map([['connect', { says: 'no', problem: 'Why' }]] as const)
  const rest = Array(steps.length - 1).fill('not tried')
  expect(rowOf(client, failed, day).slice(2)).toEqual(['no', ...rest, day])
  expect(withRows(readme, [rowOf(client, new Map(), day)], clients)).toBe(readme)
})

test.each([
  'claude mcp add',
  'cline mcp install',
  'codex mcp add',
  'copilot mcp add',
  'gemini mcp add',
  'mcporter config add',
  'opencode mcp add',
  'qwen mcp add',
])('README.md has the command that is tried: %s', (beginning) => {
  expect(readmeCommand(beginning, 'http://localhost/mcp')).toContain('http://localhost/mcp')
})
