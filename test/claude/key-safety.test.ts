import { inspect } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { deadUrl, KEY, requestFor, useClaude } from './asking.ts'

const claude = useClaude()
const fresh = () => ({ signal: new AbortController().signal })
const ENDLESS = { depth: Infinity, showHidden: true, maxStringLength: Infinity }

afterEach(() => vi.unstubAllEnvs())

test('the key is in no outcome and no error', async () => {
  const faults = [
    { kind: 'pass' },
    { kind: 'status', status: 401 },
    { kind: 'status', status: 400, message: 'odd' },
    { kind: 'stream_drop', afterChunks: 0 },
    { kind: 'stream_error', afterChunks: 0, type: 'api_error' },
  ] as const
  for (const fault of faults) {
    claude.standIn.script(fault)
    expect(inspect(await claude.ask(), ENDLESS)).not.toContain(KEY)
  }
  const { signal } = new AbortController()
  const client = claude.connect({}, await deadUrl())
  expect(inspect(await client.answer(KEY, requestFor(), { signal }), ENDLESS)).not.toContain(KEY)
  const thrown = await client.proveKey(KEY).catch((error: unknown) => error)
  expect(inspect(thrown, ENDLESS)).not.toContain(KEY)
  expect(inspect(client, ENDLESS)).not.toContain(KEY)
})

test.each(['', ' ', `${KEY}\n`, `${KEY}\u0000`, `${KEY}…`])(
  'a key that no header can carry (%j) is never sent, nor quoted',
  async (key) => {
    const { signal } = new AbortController()
    const client = claude.connect()
    const outcome = await client.answer(key, requestFor(), { signal })
    expect(outcome).toMatchObject({
      status: 'failed',
      usage: null,
      error: { code: 'upstream_key_rejected' },
    })
    expect(inspect(outcome, ENDLESS)).not.toContain(KEY)
    await expect(client.proveKey(key)).rejects.toMatchObject({ code: 'invalid_api_key' })
    expect(claude.standIn.journal).toHaveLength(0)
  },
)

test('an Admin key is refused without being sent anywhere', async () => {
  const client = claude.connect()
  await expect(client.proveKey('sk-ant-admin01-x')).rejects.toMatchObject({
    code: 'invalid_api_key',
    message: expect.stringContaining('Admin'),
  })
  expect(claude.standIn.journal).toHaveLength(0)
})

test('nothing in the environment replaces the key or redirects it', async () => {
  vi.stubEnv('ANTHROPIC_API_KEY', 'sk-ant-api03-operator')
  vi.stubEnv('ANTHROPIC_AUTH_TOKEN', 'operator-token')
  vi.stubEnv('ANTHROPIC_BASE_URL', await deadUrl())
  vi.stubEnv(
    'ANTHROPIC_CUSTOM_HEADERS',
    'x-api-key: operator\nauthorization: Bearer operator\nanthropic-version: 1999-01-01',
  )
  expect(await claude.ask()).toMatchObject({ status: 'complete' })
  const [sent] = claude.standIn.messageRequests()
  expect(sent?.headers).toMatchObject({
    authorization: `Bearer ${KEY}`,
    'anthropic-version': '2026-10-21',
  })
  expect(sent?.headers).not.toHaveProperty('x-api-key')
})

test('nothing is written to the console, whatever the environment asks for', async () => {
  vi.stubEnv('ANTHROPIC_LOG', 'debug')
  const spies = (['debug', 'info', 'log', 'warn', 'error'] as const).map((level) =>
    vi.spyOn(console, level),
  )
  const headers = { 'content-type': 'text/event-stream' }
  const body = 'event: message_start\ndata: {broken\n\n'
  claude.standIn.script({ kind: 'raw', status: 200, body, headers })
  await claude.ask()
  await claude.ask()
  for (const spy of spies) {
    expect(spy).not.toHaveBeenCalled()
    spy.mockRestore()
  }
})

test('two users of one client are never confused', async () => {
  const client = claude.connect({ maxConnections: 1 })
  const keys = Array.from({ length: 20 }, (_, i) => `sk-ant-api03-user-${i}`)
  const request = (key: string) => requestFor({ message: `I am ${key}` })
  await Promise.all(keys.map((key) => client.answer(key, request(key), fresh())))
  for (const { key, body } of claude.standIn.messageRequests()) {
    expect(body).toContain(`I am ${key}"`)
  }
  expect(claude.standIn.messageRequests()).toHaveLength(keys.length)
})

test('a redirect does not carry the key away', async () => {
  claude.standIn.script({
    kind: 'status',
    status: 307,
    headers: { location: `${claude.standIn.url}/elsewhere` },
  })
  expect((await claude.ask()).error).toMatchObject({ code: 'upstream_unavailable' })
  expect(claude.standIn.journal).toHaveLength(1)
})
