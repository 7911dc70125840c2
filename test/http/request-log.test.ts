/** What is logged of a session, and what must never be. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { REDACTED_FIELDS } from '../../src/log.ts'
import { runSql } from '../support/database-supplies.ts'
import { describeDatabases } from '../support/databases.ts'
import { PATIENCE } from '../support/patience.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, get, message, post, toolCall } from './posting.ts'

const linesOf = (app: TestApp): Record<string, unknown>[] =>
  app.logLines.map((line) => JSON.parse(line))
const requestsOf = (app: TestApp) => linesOf(app).filter(({ msg }) => msg === 'request')

describe('one line per request', () => {
  let app: TestApp
  let ada: TestUser
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded' })
    ada = await app.register()
  })
  afterAll(() => app.close())

  /** The lines that the work's requests left; the last comes a moment after its answer. */
  async function linesDuring(count: number, work: () => Promise<unknown>) {
    const before = requestsOf(app).length
    await work()
    await expect.poll(() => requestsOf(app).length).toBeGreaterThanOrEqual(before + count)
    return requestsOf(app).slice(before)
  }

  const usual = {
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    method: 'POST',
    route: '/mcp/open',
    status: 200,
    durationMs: expect.any(Number),
    aborted: false,
    msg: 'request',
  }

  test('a tool call: which tool, and whose', async () => {
    const lines = await linesDuring(1, () =>
      post(app.url, toolCall('get_conversations'), bearer(ada.accessToken)),
    )
    const { userId } = ada
    expect(lines).toEqual([{ ...usual, rpc: 'tools/call', tool: 'get_conversations', userId }])
  })

  test('a request without a token, and a refused one', async () => {
    const lines = await linesDuring(2, async () => {
      await post(app.url, message('tools/list'))
      await post(app.url, message('tools/list'), bearer('wrong'))
    })
    expect(lines).toEqual([
      { ...usual, rpc: 'tools/list' },
      { ...usual, status: 401, rpc: 'tools/list', refused: 'unauthenticated' },
    ])
  })

  test('a message that is not read, since it came to /mcp without a token', async () => {
    const lines = await linesDuring(1, () => post(app.mcpUrl, message('tools/list')))
    expect(lines).toEqual([{ ...usual, route: '/mcp', status: 401 }])
  })

  test('a wrong argument is named by its code', async () => {
    const lines = await linesDuring(1, () =>
      post(app.url, toolCall('send_message', { access_token: 'wrong', message: 'hi' })),
    )
    const refused = 'unauthenticated'
    expect(lines).toEqual([{ ...usual, rpc: 'tools/call', tool: 'send_message', refused }])
  })

  test('names that a client makes up are left out', async () => {
    const lines = await linesDuring(3, async () => {
      await post(app.url, message('sk-ant-method'))
      await post(app.url, toolCall('sk-ant-tool'))
      await get(`${app.baseUrl}/sk-ant-path?sk-ant-query`)
    })
    expect(lines).toEqual([
      usual,
      { ...usual, rpc: 'tools/call' },
      { ...usual, method: 'GET', route: 'other', status: 404 },
    ])
    expect(app.logLines.join('')).not.toContain('sk-ant-')
  })

  test('probes are quiet, the page for people is not', async () => {
    const lines = await linesDuring(3, async () => {
      for (const path of ['/livez', '/readyz', '/health']) await get(app.baseUrl + path)
    })
    expect(lines.map(({ level, route }) => [level, route])).toEqual([
      ['debug', '/livez'],
      ['debug', '/readyz'],
      ['info', '/health'],
    ])
  })

  test('a client that left before its answer', async () => {
    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const leave = new AbortController()
    const lines = await linesDuring(1, async () => {
      const sent = fetch(app.url, {
        method: 'POST',
        signal: leave.signal,
        headers: {
          ...bearer(ada.accessToken),
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
        },
        body: JSON.stringify(toolCall('send_message', { message: 'hi' })),
      }).then((response) => response.text())
      await vi.waitFor(() => expect(app.claude.openStreams()).toBe(1), PATIENCE)
      leave.abort()
      await expect(sent).rejects.toThrow()
    })
    expect(lines).toMatchObject([{ tool: 'send_message', aborted: true }])
  })
})

describeDatabases('a whole session at level debug', (kind) => {
  const encryptionKey = randomBytes(32).toString('base64')
  const said = {
    message: 'The vault opens on the ninth of June',
    system: 'You are the keeper of the Halberd file',
    answer: 'Then nobody must know about the canary',
    idempotency: 'idempotency-of-nobody-else',
    broken: 'Broken JSON with a diary in it',
    wrongPassword: 'correct-horse-battery',
    wrongToken: 'eyJub3QiOiJhIHRva2VuIn0.x.y',
  }
  let app: TestApp
  let written: string
  let metrics: string
  let users: TestUser[]

  beforeAll(async () => {
    const stray: string[] = []
    const stdout = vi.spyOn(process.stdout, 'write')
    const stderr = vi.spyOn(process.stderr, 'write')
    for (const spy of [stdout, stderr])
      spy.mockImplementation((text) => stray.push(String(text)) > 0)
    app = await startApp({
      kind,
      env: { LOG_LEVEL: 'debug', METRICS: 'loopback', ENCRYPTION_KEY: encryptionKey },
    })
    try {
      users = []
      for (const era of eras) users.push(await live(era))
      await get(`${app.baseUrl}/livez`)
      metrics = (await get(`${app.baseUrl}/metrics`)).text
      if (app.databaseUrl) await breakTheDatabase(app.databaseUrl)
    } finally {
      stdout.mockRestore()
      stderr.mockRestore()
    }
    written = app.logLines.join('') + stray.join('')
  })
  afterAll(() => app.close())

  async function live(era: (typeof eras)[number]): Promise<TestUser> {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    app.claude.setReply({ text: said.answer })
    const sent = await client.call('send_message', {
      message: said.message,
      system_prompt: said.system,
      idempotency_key: said.idempotency,
    })
    expect(sent.structured.data.content).toBe(said.answer)
    const { conversation_id } = sent.structured.data
    await client.call('get_conversations')
    await client.call('get_conversation_history', { conversation_id })
    await fail(client, user, conversation_id)
    await client.close()
    return user
  }

  /** Each of these goes wrong, most of them with a secret in the arguments. */
  async function fail(
    client: Awaited<ReturnType<TestApp['connect']>>,
    { username, email, apiKey }: TestUser,
    conversation_id: string,
  ) {
    const { message } = said
    app.claude.script({ kind: 'status', status: 400, message: `Anthropic quotes: ${said.message}` })
    await client.call('send_message', { message, conversation_id })
    app.claude.script({ kind: 'raw', status: 400, body: `<html>${said.message}</html>` })
    await client.call('send_message', { message, conversation_id })
    app.claude.script({ kind: 'stream_drop', afterChunks: 1 })
    await client.call('send_message', { message })
    await client.call('send_message', { message, model: 'claude-3-5-sonnet-20241022' })
    await client.call('send_message', { message, temperature: said.message })
    await client.call('send_message', { message, access_token: said.wrongToken })
    await client.call('authenticate_user', { username, password: said.wrongPassword })
    await client.call('register_user', { username, email, anthropic_api_key: apiKey })
    await post(app.url, `{"message": "${said.broken}`)
    await post(app.url, listWith(said.broken), bearer(said.wrongToken))
    await post(app.url, toolCall('register_user', { anthropic_api_key: apiKey, [said.broken]: 1 }))
    await post(app.url, toolCall('health_check', [said.broken]))
    await post(app.url, said.broken, { 'content-encoding': 'gzip' })
  }

  const listWith = (text: string) => message('tools/list', { text })

  /** The driver's error then quotes the row it could not write. */
  async function breakTheDatabase(url: string): Promise<void> {
    await runSql(
      url,
      "alter table messages add constraint broken check (role = 'nobody') not valid",
    )
    await runSql(url, "alter table users add constraint broken check (email = 'nobody') not valid")
    const ada = users[0] as TestUser
    const client = await app.connect('legacy', ada.accessToken)
    const sent = await client.call('send_message', { message: said.message })
    expect(sent.structured.error.code).toBe('internal')
    const registered = await client.call('register_user', {
      username: 'the-late-one',
      email: 'late@example.com',
      anthropic_api_key: 'sk-ant-api03-of-the-late-one',
    })
    expect(registered.structured.error.code).toBe('internal')
  }

  test('was logged', () => {
    const tools = requestsOf(app).map(({ tool }) => tool)
    expect(tools).toContain('send_message')
    expect(tools).toContain('register_user')
    expect(linesOf(app).some(({ level }) => level === 'debug')).toBe(true)
    expect(metrics).toContain('tool="send_message",outcome="ok"} 2')
    const failures = linesOf(app).filter(({ level }) => level === 'error')
    expect(failures.map(({ tool }) => tool)).toEqual(
      kind === 'postgresql' ? ['send_message', 'register_user'] : [],
    )
  })

  test('left no secret and no text in the log, on the console or in the metrics', () => {
    const secrets = [
      ...Object.values(said),
      ...users.flatMap(({ username, email, password, apiKey, accessToken }) => [
        username,
        email,
        password,
        apiKey,
        accessToken,
        accessToken.split('.')[2] ?? '',
      ]),
      encryptionKey,
      'the-late-one',
      'late@example.com',
      'canary',
      'diary',
    ]
    for (const secret of secrets) {
      expect(secret).toMatch(/.{5}/)
      expect(written).not.toContain(secret)
      expect(metrics).not.toContain(secret)
    }
    for (const { userId } of users) expect(metrics).not.toContain(userId)
  })

  test('left no field by a name that secrets travel under', () => {
    const names = new Set(linesOf(app).flatMap((line) => namesIn(line)))
    expect(names).toContain('requestId')
    expect(REDACTED_FIELDS.filter((name) => names.has(name))).toEqual([])
  })
})

const namesIn = (value: unknown): string[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([name, inner]) => [name, ...namesIn(inner)])
    : []
