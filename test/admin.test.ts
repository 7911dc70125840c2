/** `npm run admin`, as the operator runs it: a process of its own beside the gateway, or instead of it. */

import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { verifyLedger } from '../src/admin/ledger.ts'
import { startClaudeStandIn } from './support/claude-stand-in/server.ts'
import { register } from './support/clients.ts'
import { runSql } from './support/database-supplies.ts'
import { databaseKinds, freshDatabaseOptions } from './support/databases.ts'
import { startGatewayProcess } from './support/gateway-process.ts'
import { connectClient, startApp, type TestApp, type TestUser } from './support/start-app.ts'

const ADMIN = fileURLToPath(new URL('../dist/admin.js', import.meta.url))
const TODAY = new Date().toISOString().slice(0, 10)

/** Of this process's environment it gets PATH and HOME only. */
async function runAdmin(settings: Record<string, string>, ...args: string[]) {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [ADMIN, ...args], {
    env: { PATH, HOME, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  return { code: code as number | null, stdout, stderr }
}

test('usage errors end with 2 and the help, before anything is opened', async () => {
  const wrong: [string[], string][] = [
    [[], 'There is no such command.'],
    [['ledger', 'burn'], 'There is no such command.'],
    [['budget', 'show'], 'Whose budget?'],
    [['ledger', 'verify', '--fast'], "Unknown option '--fast'"],
    [['ledger', 'export'], 'Expected one of: csv, jsonl.'],
    [['ledger', 'export', '--format', 'xml'], 'Expected one of: csv, jsonl.'],
    [['ledger', 'export', '--format', 'csv', '--from', '22.11.2026'], 'A day is written like'],
    [['ledger', 'export', '--format', 'csv', '--to', '2026-13-01'], 'A day is written like'],
    [['budget', 'set', 'ada', '--usd', '5'], 'Expected one of: day, month.'],
    [['budget', 'reset', 'ada', '--period', 'year'], 'Expected one of: day, month.'],
    [['budget', 'set', 'ada', '--period', 'day', '--usd', '5 USD'], '--usd takes an amount'],
    [['budget', 'set', 'ada', '--period', 'day', '--usd=-5'], '--usd takes an amount'],
    [['budget', 'set', 'ada', '--period', 'day', '--tokens', '1.5'], '--tokens takes a whole'],
    [['keys', 'drop'], 'There is no such command.'],
    [['keys', 'rotate', '--drop-old=no'], "'--drop-old' does not take an argument"],
  ]
  const nowhere = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' }
  const ends = await Promise.all(wrong.map(([args]) => runAdmin(nowhere, ...args)))
  for (const [index, { code, stdout, stderr }] of ends.entries()) {
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(wrong[index]?.[1])
    expect(stderr).toContain('Usage: npm run admin -- <command>')
  }
}, 60_000)

describe.runIf(databaseKinds.includes('postgresql'))('beside the gateway, on PostgreSQL', () => {
  const ENCRYPTION_KEY = randomBytes(32).toString('base64')
  const TAGS = ['=1+1', '+1', '-1', '@SUM(A1)', 'a,b', 'say "hi"', 'two\nlines', 'a;=b', '＝1']
  let app: TestApp
  let user: TestUser
  let settings: Record<string, string>
  const sql = (statement: string) => runSql(settings.DATABASE_URL as string, statement)

  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql', env: { ENCRYPTION_KEY } })
    settings = { DATABASE_URL: app.databaseUrl as string, ENCRYPTION_KEY }
    user = await app.register('ada')
    const client = await app.connect('legacy', user.accessToken)
    for (const tag of [...TAGS, undefined])
      await client.call('send_message', { message: 'Hi.', tag })
    app.claude.script({ kind: 'stream_drop', afterChunks: 0 })
    await client.call('send_message', { message: 'Hi.' })
    app.claude.script({ kind: 'stream_stall', afterChunks: 0 })
    await client.call('send_message', { message: 'Hi.', wait_seconds: 0 })
  })
  afterAll(() => app.close())

  const verify = async () => {
    const lines: string[] = []
    return { isWell: await verifyLedger(app.app.repositories, (line) => lines.push(line)), lines }
  }

  test('a clean ledger verifies, also while answers run', async () => {
    const { code, stdout, stderr } = await runAdmin(settings, 'ledger', 'verify')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(`ledger verified: ${TAGS.length + 2} rows, no drift\n`)
  })

  const one = '(select min(id) from ledger)'
  const answer = `(select message_id from ledger where id = ${one})`
  const running = "where status = 'running' and reservation is not null"
  test.each([
    [
      'a cost that its tokens and prices do not make',
      `update ledger set cost_nano_usd = cost_nano_usd + 1 where id = ${one}`,
      `update ledger set cost_nano_usd = cost_nano_usd - 1 where id = ${one}`,
      [/^cost: ledger row \d+: recorded \d+, recomputed \d+$/, /^spent: /, /^spent: /],
    ],
    [
      'a cost without prices',
      `update ledger set tag = unit_prices::text, unit_prices = null where id = ${one}`,
      `update ledger set unit_prices = tag::jsonb, tag = '=1+1' where id = ${one}`,
      [/^cost: ledger row \d+: recorded \d+, recomputed none$/],
    ],
    [
      'spent money',
      "update spending set spent_nano_usd = spent_nano_usd - 1 where period = 'month'",
      "update spending set spent_nano_usd = spent_nano_usd + 1 where period = 'month'",
      [/^spent: \S+ month \S+: recorded \d+ nano-USD, \d+ tokens, recomputed /],
    ],
    [
      'spent tokens',
      "update spending set spent_tokens = spent_tokens + 1 where period = 'day'",
      "update spending set spent_tokens = spent_tokens - 1 where period = 'day'",
      [/^spent: \S+ day \S+: /],
    ],
    [
      'a reservation that nobody holds',
      "update spending set reserved_tokens = reserved_tokens + 5 where period = 'day'",
      "update spending set reserved_tokens = reserved_tokens - 5 where period = 'day'",
      [/^reserved: \S+ day \S+: recorded \d+ nano-USD, \d+ tokens, recomputed /],
    ],
    [
      'a held reservation that is not counted',
      `update messages set reservation = reservation || '{"nanoUsd": "1"}', error_code = reservation->>'nanoUsd' ${running}`,
      `update messages set reservation = reservation || jsonb_build_object('nanoUsd', error_code), error_code = null ${running}`,
      [/^reserved: \S+ day /, /^reserved: \S+ month /],
    ],
    [
      'an answer that told its caller something else',
      `update messages set result = jsonb_set(result, '{usage,output_tokens}', '99') where id = ${answer}`,
      `update messages set result = jsonb_set(result, '{usage,output_tokens}', '1') where id = ${answer}`,
      [/^answer: message \S+: recorded \d+ in, 99 out, recomputed \d+ in, 1 out$/],
    ],
  ])('%s is a drift', async (_, inject, undo, expected) => {
    await sql(inject)
    const { isWell, lines } = await verify()
    await sql(undo)
    expect(isWell).toBe(false)
    expect(lines).toHaveLength(expected.length + 1)
    for (const pattern of expected) {
      expect(lines).toContainEqual(expect.stringMatching(pattern))
    }
    expect(lines.at(-1)).toBe(`${expected.length} drifts`)
    expect((await verify()).isWell).toBe(true)
  })

  test('a billed answer without its row is a drift, and the exit code says so', async () => {
    await sql(`create table kept as select * from ledger where id = ${one}`)
    await sql(`delete from ledger where id = ${one}`)
    const { code, stdout, stderr } = await runAdmin(settings, 'ledger', 'verify')
    await sql('insert into ledger overriding system value select * from kept')
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const names = stdout.split('\n').map((line) => line.split(':')[0])
    expect(names).toEqual(['spent', 'spent', 'answer', '3 drifts', ''])
    expect((await verify()).isWell).toBe(true)
  })

  test('the export holds every row, exact, and no formula', async () => {
    const old = { ...emptyRow('old'), bookedOn: '2026-01-01' }
    await app.app.db
      .insertInto('ledger')
      .values([emptyRow('\t=1+1'), old])
      .execute()
    const rows = await app.app.repositories.ledger.list({ from: TODAY, to: TODAY }, '0', 1000)
    expect(rows).toHaveLength(TAGS.length + 3)
    const range = ['--from', TODAY, '--to', TODAY]
    const [jsonl, csv] = await Promise.all(
      ['jsonl', 'csv'].map((format) =>
        runAdmin(settings, 'ledger', 'export', '--format', format, ...range),
      ),
    )
    expect([jsonl?.code, csv?.code]).toEqual([0, 0])
    const records = (jsonl?.stdout ?? '')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(records).toEqual(
      rows.map((row) => ({
        id: row.id,
        booked_on: row.bookedOn,
        created_at: row.createdAt.toISOString(),
        user_id: row.userId,
        username: row.username,
        conversation_id: row.conversationId,
        message_id: row.messageId,
        model: row.model,
        tag: row.tag,
        input_tokens: row.inputTokens,
        cache_write_5m_tokens: row.cacheWrite5mTokens,
        cache_write_1h_tokens: row.cacheWrite1hTokens,
        cache_read_tokens: row.cacheReadTokens,
        output_tokens: row.outputTokens,
        thinking_tokens: row.thinkingTokens,
        // Nine decimals: a nano-USD is the last.
        cost_usd: (Number(row.costNanoUsd) / 1e9).toFixed(9),
        estimated: row.estimated,
        request_id: row.requestId,
      })),
    )
    expect(records.map(({ username }) => username).slice(0, 2)).toEqual(['ada', 'ada'])

    const [header, ...lines] = parseCsv(csv?.stdout ?? '')
    expect(header).toEqual(Object.keys(records[0]))
    const asText = (value: unknown) => (value === null ? '' : String(value))
    const isFormula = (value: string) => /^[=+\-@\t\r\n＝]/.test(value)
    expect(lines.flat().filter(isFormula)).toEqual([])
    expect(lines).toEqual(
      records.map((record) =>
        Object.values(record)
          .map(asText)
          .map((value) => (isFormula(value) ? `'${value}` : value)),
      ),
    )
    expect(csv?.stdout).toContain('"a;=b"')
  })

  test('budget set and reset reach the running gateway at once, and show what counts', async () => {
    const client = await app.connect('legacy', user.accessToken)
    const period = ['--period', 'day']
    const limits = ['--usd', '987654321.000000001', '--tokens', '5']
    const set = await runAdmin(settings, 'budget', 'set', 'ADA', ...period, ...limits)
    const [spent] = await sql(
      "select spent_tokens::int as tokens from spending where period = 'day'",
    )
    expect(set).toMatchObject({ code: 0, stderr: '' })
    expect(set.stdout).toMatch(
      /^day: limit 987654321\.\d{6} USD, 5 tokens\n {2}spent 0\.\d{6} USD, /,
    )
    expect(set.stdout).toContain(` USD, ${spent?.tokens} tokens\n  reserved 0.`)
    expect(set.stdout).toMatch(/ {2}resets at \d{4}-\d\d-\d\dT00:00:00.000Z\nmonth: limit no limit/)
    const stored = await sql('select limit_nano_usd::text, limit_tokens::int, set_by from budgets')
    expect(stored).toEqual([
      { limit_nano_usd: '987654321000000001', limit_tokens: 5, set_by: 'admin' },
    ])
    const refused = await client.call('send_message', { message: 'Hi.' })
    expect(refused.structured.error.code).toBe('budget_exceeded')

    const reset = await runAdmin(settings, 'budget', 'reset', 'ada', ...period)
    expect(reset.stdout).toMatch(/^day: limit no limit in USD, no limit in tokens\n/)
    expect((await client.call('send_message', { message: 'Hi.' })).isError).toBe(false)
    const stranger = await runAdmin(settings, 'budget', 'show', 'nobody-at-all')
    expect(stranger).toEqual({
      code: 2,
      stdout: '',
      stderr: 'There is no user with this name.\n',
    })
  }, 60_000)

  test('keys rotate, while the gateway runs', async () => {
    const { signer } = app.app.services.signingKeys.current
    const client = await app.connect('legacy', user.accessToken)
    const works = async () => (await client.call('get_conversations')).isError

    const rotated = await runAdmin(settings, 'keys', 'rotate')
    expect(rotated.code).toBe(0)
    const [made = '', ...list] = rotated.stdout.trimEnd().split('\n')
    const [, kid = ''] = /^new signing key (\S{43})$/.exec(made) ?? []
    expect(list).toEqual([
      expect.stringMatching(`^${kid}  verifies, signs from \\S+Z$`),
      expect.stringMatching(`^${signer.kid}  signs since \\S+Z, verifies until \\S+Z$`),
    ])
    expect((await runAdmin(settings, 'keys', 'list')).stdout).toBe(`${list.join('\n')}\n`)
    const [, from = ''] = /signs from (\S+)/.exec(list[0] ?? '') ?? []
    const inSeconds = (Date.parse(from) - Date.now()) / 1000
    expect(inSeconds).toBeGreaterThan(0)
    expect(inSeconds).toBeLessThanOrEqual(60)
    expect(await works()).toBe(false)

    const dropped = await runAdmin(settings, 'keys', 'rotate', '--drop-old')
    expect(dropped.stdout).toMatch(
      /^new signing key (\S{43})\nthe older keys are gone: .*\n\1 {2}signs since \S+Z\n$/,
    )
    await app.app.services.signingKeys.reload()
    await expect(works()).rejects.toThrow(/access token is not valid/)
    const secrets = await sql('select encode(sealed, $$base64$$) as sealed from signing_keys')
    expect(secrets).toHaveLength(1)
    for (const { stdout } of [rotated, dropped]) expect(stdout).not.toContain('"d"')
  }, 60_000)

  const emptyRow = (tag: string) => ({
    userId: user.userId,
    conversationId: randomUUID(),
    messageId: randomUUID(),
    model: 'claude-sonnet-5-5',
    inputTokens: 0,
    cacheWrite5mTokens: 0,
    cacheWrite1hTokens: 0,
    cacheReadTokens: 0,
    outputTokens: 0,
    thinkingTokens: 0,
    unitPrices: JSON.stringify({
      input: 0,
      output: 0,
      cacheWrite5m: 0,
      cacheWrite1h: 0,
      cacheRead: 0,
    }),
    costNanoUsd: 0n,
    estimated: null,
    requestId: null,
    tag,
    bookedOn: TODAY,
  })
})

test('the embedded folder is the gateway’s while it runs; what it left behind is closed', async () => {
  const claude = await startClaudeStandIn()
  const fresh = await freshDatabaseOptions('embedded')
  const settings = { DATA_DIR: fresh.dataDir, ANTHROPIC_BASE_URL: claude.url }
  const gateway = await startGatewayProcess(settings)
  const url = `${gateway.url}/mcp`
  const { accessToken } = await register(url, 'ada')
  const client = await connectClient('legacy', url, accessToken)
  await client.call('send_message', { message: 'four'.repeat(7), tag: 'before' })
  claude.script({ kind: 'stream_stall', afterChunks: 0 })
  await client.call('send_message', { message: 'four'.repeat(7), tag: 'died', wait_seconds: 0 })
  await vi.waitUntil(() => claude.openStreams() === 1, { timeout: 10_000 })

  const refused = await runAdmin(settings, 'ledger', 'verify')
  expect(refused).toMatchObject({ code: 2, stdout: '' })
  expect(refused.stderr).toContain(fresh.dataDir)

  const ended = once(gateway.process, 'close')
  gateway.process.kill('SIGKILL')
  await ended
  await client.close()
  const verified = await runAdmin(settings, 'ledger', 'verify')
  expect(verified).toMatchObject({ code: 0, stdout: 'ledger verified: 2 rows, no drift\n' })
  const { stdout } = await runAdmin(settings, 'ledger', 'export', '--format', 'jsonl')
  const rows = stdout.trimEnd().split('\n')
  expect(rows.map((line) => JSON.parse(line))).toMatchObject([
    { tag: 'before', input_tokens: 10, output_tokens: 7, estimated: null },
    // 28 bytes / 3.5, and nothing of an answer.
    { tag: 'died', input_tokens: 8, output_tokens: 0, estimated: 'process_died', request_id: null },
  ])
  await fresh.drop()
  await claude.close()
}, 60_000)

/** RFC 4180, lines end with LF. */
function parseCsv(csv: string): string[][] {
  const fields = [...csv.matchAll(/("(?:[^"]|"")*"|[^",\n]*)(,|\n)/g)]
  const rows: string[][] = [[]]
  for (const [, field = '', end] of fields) {
    const value = field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field
    rows.at(-1)?.push(value)
    if (end === '\n') rows.push([])
  }
  return rows.slice(0, -1)
}
