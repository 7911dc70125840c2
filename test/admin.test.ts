/**
 * `npm run admin`, as the operator runs it: a process of its own beside the gateway, or instead of it.
 *
 * A process takes a second to load the whole gateway. So the output and the exit code of each kind of
 * command are a process's; more of what it does, and refuses, is tested on a second gateway in this one.
 */

import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { valuesOf } from '../src/admin/arguments.ts'
import { COMMANDS } from '../src/admin/commands.ts'
import { verifyLedger } from '../src/admin/ledger.ts'
import { createApp } from '../src/app.ts'
import { loadConfig } from '../src/config/config.ts'
import { createLogger } from '../src/log.ts'
import { startClaudeStandIn } from './support/claude-stand-in/server.ts'
import { register } from './support/clients.ts'
import { runSql } from './support/database-supplies.ts'
import { freshDatabaseOptions, hasPostgresql } from './support/databases.ts'
import { startGatewayProcess } from './support/gateway-process.ts'
import { PATIENCE } from './support/patience.ts'
import { browserSession, personalToken } from './support/signed-up.ts'
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

/** Without the process around it: throws what ends that with 2. @returns its standard output. */
async function runHere(settings: Record<string, string>, ...args: string[]): Promise<string> {
  const [area, action, username = ''] = args
  const command = COMMANDS[`${area} ${action}`] as (typeof COMMANDS)[string]
  const run = command.prepare(valuesOf(args, command.options), username)
  const app = await createApp(loadConfig(settings), { log: createLogger('silent') })
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    expect((await run(app)) ?? true).toBe(true)
    return written.mock.calls.map(([chunk]) => String(chunk)).join('')
  } finally {
    written.mockRestore()
    await app.close(0)
  }
}

/** Each process takes a second or more on a busy machine. */
const PROCESSES_TIMEOUT_MS = 180_000

const NOWHERE = { DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' }

const BUDGET_SET =
  'budget set USERNAME --period day|month [--usd N] [--tokens N] [--covers own_key|everything]'
const BUDGET_RESET = 'budget reset USERNAME --period day|month'
const EXPORT = 'ledger export --format csv|jsonl [--from DAY] [--to DAY]'

test('a mistake ends with 2 and the usage of its own command, before anything is opened', async () => {
  const anAda = ['budget', 'set', 'ada']
  const csv = ['ledger', 'export', '--format', 'csv']
  const negative = 'an amount cannot be negative.'
  const wrong: [string[], string, string][] = [
    [['burn', 'it'], 'There is no such command.', ''],
    [['keys', 'drop'], 'There is no such command.', 'keys list'],
    [['budget', 'show'], 'USERNAME is missing.', 'budget show USERNAME'],
    [['budget', 'show', 'ada', 'bob'], 'Unexpected: bob', 'budget show USERNAME'],
    [['ledger', 'verify', '--fast'], '--fast is no option of this command.', 'ledger verify'],
    [['ledger', 'verify', '--usd', '5'], '--usd is no option of this command.', 'ledger verify'],
    [['ledger', 'export'], '--format takes one of: csv, jsonl.', EXPORT],
    [['ledger', 'export', '--format', 'xml'], '--format takes one of: csv, jsonl.', EXPORT],
    [[...csv, '--from', '22.11.2026'], 'A day is written like 2026-11-01.', EXPORT],
    [
      [...csv, '--from', '2026-11-02', '--to', '2026-11-01'],
      '--from must not be after --to.',
      EXPORT,
    ],
    [[...csv, '--to', '2026-13-01'], 'A day is written like 2026-11-01.', EXPORT],
    [[...anAda, '--usd', '5'], '--period takes one of: day, month.', BUDGET_SET],
    [
      ['budget', 'reset', 'ada', '--period', 'year'],
      '--period takes one of: day, month.',
      BUDGET_RESET,
    ],
    [
      [...anAda, '--period', 'month'],
      'Give --usd, --tokens or both, or use budget reset.',
      BUDGET_SET,
    ],
    [[...anAda, '--period', 'day', '--usd', '5 EUR'], '--usd takes an amount', BUDGET_SET],
    [[...anAda, '--usd', '-5', '--period', 'day'], `--usd: ${negative}`, BUDGET_SET],
    [[...anAda, '--period', 'day', '--usd=-5'], `--usd: ${negative}`, BUDGET_SET],
    [[...anAda, '--period', 'day', '--tokens', '-1'], `--tokens: ${negative}`, BUDGET_SET],
    [[...anAda, '--period', 'day', '--tokens', '1.5'], '--tokens takes a whole', BUDGET_SET],
    [['keys', 'rotate', '--drop-old=no'], '--drop-old takes no value.', 'keys rotate [--drop-old]'],
    [['user', 'add', 'ada', '--email'], '--email needs a value.', 'user add USERNAME'],
    [['user', 'add', 'ada'], '--email is missing.', 'user add USERNAME --email EMAIL'],
    [['user', 'list', '--limit', '0'], '--limit takes a whole number from 1', 'user list'],
    [['user', 'delete', 'ada'], 'To do it, add --yes.', 'user delete USERNAME --yes'],
    [['links', 'revoke-all'], 'To do it, add --yes.', 'links revoke-all [--public] --yes'],
    [['links', 'list', '--after', 'ada'], '--after takes the id of a link.', 'links list'],
    [['user', 'sign-out', ''], 'USERNAME is missing.', 'user sign-out USERNAME'],
    [['team', 'add', '--owner', 'ada'], 'TEAM is missing.', 'team add TEAM --owner USERNAME'],
    [['team', 'add', 'Crew'], '--owner is missing.', 'team add TEAM --owner USERNAME'],
    [['team', 'archive', 'Crew'], 'This cannot be undone.', 'team archive TEAM --yes'],
    [['user', 'role', 'ada', '--role', 'king'], '--role takes one of', 'user role USERNAME'],
  ]
  const ends = await Promise.all(wrong.map(([args]) => runAdmin(NOWHERE, ...args)))
  for (const [index, { code, stdout, stderr }] of ends.entries()) {
    const [args = [], problem = '', usage = ''] = wrong[index] ?? []
    expect({ code, stdout }, stderr).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(problem)
    if (usage !== '') expect(stderr).toContain(`\nUsage: npm run admin -- ${usage}`)
    else expect(stderr).toContain('npm run admin -- help')
    const others = stderr.split('\n').filter((line) => line.startsWith('Usage: '))
    // Of an action that does not exist: those of the same area.
    expect(others, args.join(' ')).toHaveLength(usage === '' ? 0 : usage === 'keys list' ? 3 : 1)
  }
})

test(
  'help is on standard output, and no mistake',
  async () => {
    const asked = [
      [],
      ['help'],
      ['--help'],
      ['-h'],
      ['budget', '--help'],
      ['budget', 'set', '--help'],
    ]
    const ends = await Promise.all(asked.map((args) => runAdmin(NOWHERE, ...args)))
    for (const { code, stderr } of ends) expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const whole = ends.slice(0, -1).map(({ stdout }) => stdout)
    expect(new Set(whole).size).toBe(1)
    for (const usage of [BUDGET_SET, BUDGET_RESET, EXPORT, 'user reset-password USERNAME']) {
      expect(whole[0]).toContain(`  ${usage}\n`)
    }
    expect(ends.at(-1)?.stdout.split('\n')[0]).toBe(`Usage: npm run admin -- ${BUDGET_SET}`)
  },
  PROCESSES_TIMEOUT_MS,
)

test('a reader that has seen enough ends the command, and nothing is complained of', async () => {
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [ADMIN, 'help'], {
    env: { PATH, HOME, ...NOWHERE },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

describe.runIf(hasPostgresql)('beside the gateway, on PostgreSQL', () => {
  const ENCRYPTION_KEY = randomBytes(32).toString('base64')
  const TAGS = ['=1+1', '+1', '-1', '@SUM(A1)', 'a,b', 'say "hi"', 'two\nlines', 'a;=b', '＝1']
  let app: TestApp
  let user: TestUser
  let settings: Record<string, string>
  /** An answer that does not come, until it is cancelled. */
  let stalledId: string
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
    const sent = await client.call('send_message', { message: 'Hi.', wait_seconds: 0 })
    stalledId = sent.structured.data.message_id
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
        source: row.source,
        call_id: row.callId,
        session_id: row.sessionId,
        client: row.client,
        session_label: row.sessionLabel,
        agent_id: row.agentId,
        request_class: row.requestClass,
        status: row.status,
        stop_reason: row.stopReason,
        speed: row.speed,
        geo: row.geo,
        tier: row.tier,
        web_searches: row.webSearches,
        max_tokens_asked: row.maxTokensAsked,
        max_tokens_sent: row.maxTokensSent,
        ms_to_first_byte: row.msToFirstByte,
        ms_total: row.msTotal,
        owner_id: row.ownerId,
        payer: row.payer,
        team_id: row.teamId,
        key_id: row.keyId,
        key_last_four: row.keyLastFour,
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
      /^budget of ada\nday: limit 987654321\.\d{6} USD, 5 tokens\n {2}spent 0\.\d{6} USD, /,
    )
    expect(set.stdout).toContain(` USD, ${spent?.tokens} tokens\n  reserved 0.`)
    expect(set.stdout).toMatch(
      / {2}resets at \d{4}-\d\d-\d\dT00:00:00.000Z\nmonth: limit none in USD/,
    )
    const stored = await sql('select limit_nano_usd::text, limit_tokens::int, set_by from budgets')
    expect(stored).toEqual([
      { limit_nano_usd: '987654321000000001', limit_tokens: 5, set_by: 'admin' },
    ])
    const refused = await client.call('send_message', { message: 'Hi.' })
    expect(refused.structured.error.code).toBe('budget_exceeded')

    const reset = await runHere(settings, 'budget', 'reset', 'ada', ...period)
    expect(reset).toMatch(/^budget of ada\nday: limit none in USD, none in tokens\n/)
    expect((await client.call('send_message', { message: 'Hi.' })).isError).toBe(false)
    const stranger = await runAdmin(settings, 'budget', 'show', 'nobody-at-all')
    expect(stranger).toEqual({
      code: 2,
      stdout: '',
      stderr: 'There is no user with this name.\n',
    })
  })

  describe('users, while the gateway runs', () => {
    const CLOSED = { REGISTRATION: 'closed' }
    const asOperator = (...args: string[]) => runAdmin({ ...settings, ...CLOSED }, 'user', ...args)
    const here = (...args: string[]) => runHere({ ...settings, ...CLOSED }, 'user', ...args)
    const passwordIn = (stdout: string) => /^password: (\S{24})$/m.exec(stdout)?.[1] ?? ''
    const ended = { code: 'unauthenticated' }
    const refused = { code: 'invalid_credentials' }
    let password: string

    test(
      'add makes one who can sign in, though registration is closed',
      async () => {
        const added = await asOperator('add', 'Grace', '--email', 'grace@example.com')
        expect(added).toMatchObject({ code: 0, stderr: '' })
        expect(added.stdout).toMatch(/^added Grace\npassword: \S{24}\n/)
        password = passwordIn(added.stdout)
        expect(await app.app.services.accounts.checkPassword('grace', password)).toBeTruthy()

        const taken = await asOperator('add', 'GRACE', '--email', 'other@example.com')
        expect(taken).toMatchObject({ code: 2, stdout: '' })
        expect(taken.stderr).toContain('username is in use')
        const wrong = [
          ['other', 'Grace@example.com', 'email address is in use'],
          ['other', 'nobody', 'email must'],
          ['no name', 'other@example.com', 'username must'],
        ] as const
        for (const [name, email, problem] of wrong) {
          await expect(here('add', name, '--email', email)).rejects.toThrow(problem)
        }
      },
      PROCESSES_TIMEOUT_MS,
    )

    test(
      'list shows a page of them, and nothing secret',
      async () => {
        const first = await asOperator('list', '--limit', '1')
        const rest = await here('list', '--after', 'ADA')
        const [heading, ada, more, ...none] = first.stdout.trimEnd().split('\n')
        expect(heading).toMatch(/^USERNAME +EMAIL +ROLE +CREATED +KEY +LAST USE$/)
        const today = `${TODAY}T\\d\\d:\\d\\dZ`
        expect(ada).toMatch(new RegExp(`^ada +\\S+@\\S+ +member +${today} +yes +${today}$`))
        expect(more).toBe('There are more: user list --limit 1 --after ada')
        expect(none).toEqual([])
        const [, grace, ...others] = rest.trimEnd().split('\n')
        expect(grace).toMatch(new RegExp(`^Grace +grace@example.com +member +${today} +no +never$`))
        expect(others).toEqual([])
      },
      PROCESSES_TIMEOUT_MS,
    )

    test(
      'reset-password lets in with the new one only, and at once',
      async () => {
        const { accounts, sessions } = app.app.services
        const { accessToken } = await accounts.authenticate('grace', password)
        const { userId } = await sessions.resolve(accessToken)
        const { token } = await personalToken(app, await browserSession(app, userId))
        const guess = () => accounts.checkPassword('grace', 'forgotten').catch(({ code }) => code)
        while ((await guess()) !== 'rate_limited');

        const reset = await asOperator('reset-password', 'grace')
        expect(reset).toMatchObject({ code: 0, stderr: '' })
        expect(reset.stdout).toContain('Grace has a new password; 3 sessions,')
        for (const proof of [accessToken, token]) {
          await expect(sessions.resolve(proof)).rejects.toMatchObject(ended)
        }
        await expect(accounts.checkPassword('grace', password)).rejects.toMatchObject(refused)
        password = passwordIn(reset.stdout)
        expect(await accounts.checkPassword('grace', password)).toMatchObject({ userId })
      },
      PROCESSES_TIMEOUT_MS,
    )

    test(
      'sign-out ends everything of theirs, and nothing of others',
      async () => {
        const { accounts, sessions } = app.app.services
        const { accessToken } = await accounts.authenticate('grace', password)
        const signedOut = await here('sign-out', 'GRACE')
        expect(signedOut).toBe('Grace: 1 sessions, connections and tokens ended\n')
        await expect(sessions.resolve(accessToken)).rejects.toMatchObject(ended)
        expect(await sessions.resolve(user.accessToken)).toMatchObject({ username: 'ada' })
        await expect(here('sign-out', 'nobody')).rejects.toThrow('There is no user with this name.')
      },
      PROCESSES_TIMEOUT_MS,
    )

    test('a role is given and taken, and a user is suspended and let in again', async () => {
      const { accounts } = app.app.services
      expect(await here('role', 'grace', '--role', 'auditor')).toBe('Grace is auditor now\n')
      expect(await here('suspend', 'grace')).toMatch(/^Grace is suspended; 0 sessions/)
      expect(await here('list', '--after', 'ada')).toMatch(/ auditor, suspended /)
      const signIn = () => accounts.authenticate('grace', password)
      await expect(signIn()).rejects.toMatchObject({ code: 'forbidden' })
      expect(await here('restore', 'grace')).toBe('Grace may sign in again\n')
      await signIn()
      expect(await here('role', 'grace', '--role', 'member')).toBe('Grace is member now\n')
    })

    test('a team is made, filled, listed and archived', async () => {
      const team = (...args: string[]) => runHere(settings, 'team', ...args)
      expect(await team('add', 'The Crew', '--owner', 'ADA')).toMatch(/^made the team The Crew \(/)
      const grace = ['member', 'the-crew', '--user', 'grace']
      expect(await team(...grace, '--role', 'member')).toContain('Grace is member of the-crew now')
      expect(await team(...grace, '--role', 'owner')).toContain('Grace is owner of the-crew now')
      expect(await team('list')).toMatch(/ The Crew {2}members: 2 {2}owners: ada, Grace\n$/)
      await expect(team('member', 'the-crew', '--user', 'ada')).rejects.toThrow('--role takes one')
      expect(await team(...grace, '--remove')).toContain('not in the-crew any more')
      const last = team('member', 'the-crew', '--user', 'ada', '--remove')
      await expect(last).rejects.toThrow('needs an owner')
      expect(await team('archive', 'The Crew', '--yes')).toBe('archived The Crew\n')
      expect(await team('list', '--limit', '1')).toMatch(/ archived\n$/)
    })

    test("a team's budget is set, and requests are decided", async () => {
      await runHere(settings, 'team', 'add', 'The Savers', '--owner', 'ada')
      const budget = (...args: string[]) =>
        runHere(settings, 'team', 'budget', 'the-savers', ...args)
      expect(await budget('--daily', '5', '--monthly', '$40')).toMatch(
        /^budget of the team The Savers\nday: limit 5\.000000 USD, of the team itself none\n/,
      )
      expect(await budget('--daily', 'none')).toMatch(
        /day: limit none[\s\S]*month: limit 40\.000000/,
      )
      await expect(budget('--daily', 'lots')).rejects.toThrow('--daily takes an amount')
      expect(await runHere(settings, 'request', 'list')).toBe('no open requests\n')
      const request = '00000000-0000-4000-8000-000000000000'
      await expect(runHere(settings, 'request', 'approve', request)).rejects.toThrow('no such')
      await expect(runHere(settings, 'request', 'deny', 'all')).rejects.toThrow('REQUEST is an id')
      const everything = ['ada', '--period', 'month', '--usd', '9', '--covers', 'everything']
      expect(await runHere(settings, 'budget', 'set', ...everything)).toContain(
        'month: limit of everything 9.000000 USD',
      )
      await runHere(settings, 'budget', 'reset', 'ada', '--period', 'month')
    })

    test(
      'delete stops what runs, books it and erases the rest',
      async () => {
        const mary = await app.register('mary')
        const client = await app.connect('modern', mary.accessToken)
        const ada = await app.connect('legacy', user.accessToken)
        await ada.call('cancel_message', { message_id: stalledId })
        await vi.waitUntil(() => app.claude.openStreams() === 0, PATIENCE)
        app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
        await client.call('send_message', { message: 'Hi.', tag: 'hers', wait_seconds: 0 })
        await vi.waitUntil(() => app.claude.openStreams() === 1, PATIENCE)

        const settled = { ...settings, ADMIN_USERNAMES: 'Mary' }
        const admin = runHere(settled, 'user', 'delete', 'mary', '--yes')
        await expect(admin).rejects.toThrow('This name is in ADMIN_USERNAMES')
        expect(await app.app.services.sessions.resolve(mary.accessToken)).toBeTruthy()

        expect(await asOperator('delete', 'MARY', '--yes')).toEqual({
          code: 0,
          stdout: 'deleted mary\n',
          stderr: '',
        })
        await vi.waitUntil(() => app.claude.openStreams() === 0, PATIENCE)
        const booked = await app.app.repositories.ledger.list({ from: TODAY, to: TODAY }, '0', 1000)
        const hers = booked.filter(({ userId }) => userId === mary.userId)
        expect(hers).toMatchObject([{ username: null, tag: null, estimated: 'stream_cancelled' }])
        expect(await sql('select username from users order by 1')).toEqual([
          { username: 'Grace' },
          { username: 'ada' },
        ])
        expect((await verify()).isWell).toBe(true)
      },
      PROCESSES_TIMEOUT_MS,
    )
  })

  test('keys rotate, while the gateway runs', async () => {
    const { signer } = app.app.services.signingKeys.current
    const client = await app.connect('legacy', user.accessToken)
    const works = async () => (await client.call('get_conversations')).isError

    const startedAt = Date.now()
    const rotated = await runAdmin(settings, 'keys', 'rotate')
    const rotatedAt = Date.now()
    expect(rotated.code).toBe(0)
    const [made = '', ...list] = rotated.stdout.trimEnd().split('\n')
    const [, kid = ''] = /^new signing key (\S{43})$/.exec(made) ?? []
    expect(list).toEqual([
      expect.stringMatching(`^${kid}  verifies, signs from \\S+Z$`),
      expect.stringMatching(`^${signer.kid}  signs since \\S+Z, verifies until \\S+Z$`),
    ])
    expect(await runHere(settings, 'keys', 'list')).toBe(`${list.join('\n')}\n`)
    const [, from = ''] = /signs from (\S+)/.exec(list[0] ?? '') ?? []
    expect(Date.parse(from)).toBeGreaterThan(startedAt)
    expect(Date.parse(from)).toBeLessThanOrEqual(rotatedAt + 60_000)
    expect(await works()).toBe(false)

    const dropped = await runHere(settings, 'keys', 'rotate', '--drop-old')
    expect(dropped).toMatch(
      /^new signing key (\S{43})\nthe older keys are gone: .*\n\1 {2}signs since \S+Z\n$/,
    )
    await app.app.services.signingKeys.reload()
    await expect(works()).rejects.toThrow(/access token is not valid/)
    const secrets = await sql('select encode(sealed, $$base64$$) as sealed from signing_keys')
    expect(secrets).toHaveLength(1)
    for (const stdout of [rotated.stdout, dropped]) expect(stdout).not.toContain('"d"')
  })

  test('keys encryption says what is under which key, and what that means', async () => {
    const keyId = app.app.services.encryptionKeys.list().then(([current]) => current?.keyId)
    const listed = await runHere(settings, 'keys', 'encryption')
    expect(listed).toMatch(
      new RegExp(
        `^${await keyId}  ENCRYPTION_KEY: [^\n]*\\b\\d+ passwords, \\d+ signing keys, \\d+ teams, \\d+ users\n$`,
      ),
    )
    const lost = randomBytes(8)
    const hash = `$argon2id$v=19$m=1,t=1,p=1,keyid=${lost.toString('base64').slice(0, 11)}$c2FsdA$aGFzaA`
    const { userId } = await app.register()
    const { users } = app.app.repositories
    const before = (await users.findPasswordHash(userId)) ?? ''
    await users.putPasswordHash(userId, hash)
    expect(await runHere(settings, 'keys', 'encryption')).toContain(
      `${lost.toString('hex')}  NOT CONFIGURED: 1 passwords\n  Users with these passwords cannot sign in: `,
    )
    await users.putPasswordHash(userId, before)
  })

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
  await vi.waitUntil(() => claude.openStreams() === 1, PATIENCE)

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
  const [before, died] = rows.map((line) => JSON.parse(line))
  expect(before).toMatchObject({ tag: 'before', input_tokens: 10, output_tokens: 7 })
  expect(before.estimated).toBeNull()
  // 28 bytes and what may be around them, and what may have been written in the time.
  const most = { tag: 'died', input_tokens: 28 + 16 + 64, estimated: 'process_died' }
  expect(died).toMatchObject({ ...most, request_id: null })
  expect(died.output_tokens).toBeGreaterThan(100)
  expect(died.output_tokens).toBeLessThanOrEqual(4096)
  await fresh.drop()
  await claude.close()
})

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
