/** A request as Claude Code sends it, bodies of odd lengths, and what never leaves the gateway. */

import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { END, event, START, STREAM_HEADERS, TEXT } from '../../support/api-exchange.ts'
import { type ApiUser, apiUser } from '../../support/api-user.ts'
import { rawRequest } from '../../support/raw-request.ts'
import { type ScriptedApp, startScriptedApp } from '../../support/scripted-app.ts'

let { origin, app, close } = {} as ScriptedApp
let user: ApiUser
beforeAll(async () => {
  const env = { METRICS: 'loopback', LOG_LEVEL: 'debug' }
  ;({ origin, app, close } = await startScriptedApp('embedded', env))
  user = await apiUser(app)
})
afterAll(() => close())
beforeEach(() => void origin.asked.splice(0))

const BETAS = [
  'claude-code-20250219',
  'interleaved-thinking-2025-05-14',
  'context-management-2025-06-27',
  'per-turn-control-2026-07-01',
  'mid-conversation-tool-changes-2026-07-01',
  'thinking-token-count-2026-05-13',
  'advanced-tool-use-2025-11-20',
  'effort-2025-11-24',
  'dangerous-tool-use-2026-09-03',
  'thinking-display-updates-2026-08-18',
  'afk-mode-2026-01-31',
  'of-next-year-2027-01-01',
]

/** As Claude Code 2.1 writes them, spaces and all. */
const CLAUDE_CODE = JSON.stringify(
  {
    model: 'claude-opus-5-5',
    max_tokens: 128_000,
    stream: true,
    thinking: { type: 'adaptive' },
    output_config: { effort: 'medium' },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    safeguards: { mode: 'auto' },
    metadata: { user_id: '{"device_id":"d","account_uuid":"","session_id":"11111111-2222"}' },
    system: [
      { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.332;' },
      { type: 'text', text: 'You are Claude Code.', cache_control: { type: 'ephemeral' } },
      { type: 'text', text: 'Caf\u00e9 \u2028', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
    tools: [{ name: 'Bash', input_schema: { type: 'object' }, defer_loading: true }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'hi' }] },
      { role: 'system', content: 'Be brief.', output_config: { effort: 'low' } },
    ],
  },
  null,
  1,
)

const FIXED = {
  accept: 'application/json',
  'anthropic-version': '2023-06-01',
  'anthropic-dangerous-direct-browser-access': 'true',
  'anthropic-beta': BETAS.join(','),
  'content-type': 'application/json',
  'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)',
  'x-app': 'cli',
  'x-claude-code-session-id': '3c9d6a1e-0000-4000-8000-000000000001',
  'x-stainless-retry-count': '0',
  'x-stainless-timeout': '600',
}

describe('Claude Code', () => {
  test('is forwarded header for header and byte for byte, but for its credential', async () => {
    origin.script((res) => void res.writeHead(200, STREAM_HEADERS).end(START + TEXT + END))
    const answer = await rawRequest(app.baseUrl, {
      path: '/v1/messages?beta=true',
      headers: {
        ...FIXED,
        authorization: `Bearer ${user.token}`,
        'accept-encoding': 'gzip, deflate, br, zstd',
      },
      body: CLAUDE_CODE,
    })
    expect(answer.status).toBe(200)
    const [asked] = origin.asked
    expect(asked).toMatchObject({ method: 'POST', url: '/v1/messages?beta=true' })
    expect(asked?.body.toString()).toBe(CLAUDE_CODE)
    const { host, connection, ...rest } = asked?.headers ?? {}
    expect(rest).toEqual({
      ...FIXED,
      authorization: `Bearer ${user.apiKey}`,
      'accept-encoding': 'identity',
      'content-length': String(Buffer.byteLength(CLAUDE_CODE)),
    })
    const lines = app.app.db.selectFrom('ledger').selectAll().where('userId', '=', user.userId)
    await expect.poll(() => lines.execute()).toHaveLength(1)
    expect(await lines.execute()).toMatchObject([
      { client: 'claude-cli', sessionLabel: '3c9d6a1e-0000-4000-8000-000000000001' },
    ])
  })
})

describe('a body', () => {
  /** Everything that the gateway answers to these bytes. */
  function say(text: string, { half }: { half: boolean }): Promise<string> {
    const { port, hostname } = new URL(app.baseUrl)
    return new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () =>
        half ? socket.end(text) : socket.write(text),
      )
      let received = ''
      socket.setEncoding('utf8').on('data', (piece: string) => {
        received += piece
      })
      socket.on('error', () => {}).on('close', () => resolve(received))
    })
  }
  const head = (length: string) =>
    `POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Api-Key: ${user.token}\r\n${length}\r\n\r\n`

  test('that ends before its length is not sent on', async () => {
    await say(`${head('Content-Length: 5000')}${CLAUDE_CODE.slice(0, 100)}`, { half: true })
    expect(origin.asked).toEqual([])
  })

  test('that goes on after its length is refused', async () => {
    const body = '{"model":"m"}'
    const answer = await say(`${head(`Content-Length: ${body.length - 1}`)}${body}`, {
      half: false,
    })
    expect(answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(origin.asked).toEqual([])
  })

  test('of 16 MiB, twenty at once: some are asked to come again, none is lost', async () => {
    const most = 16 * 1024 * 1024
    const ends = '{"model":"m","messages":[{"role":"user","content":""}]}'
    const body = Buffer.from(ends.replace('""', `"${'x'.repeat(most - ends.length)}"`))
    origin.script(
      ...Array.from(
        { length: 20 },
        () => (res: { end(text: string): unknown }) => void res.end('{}'),
      ),
    )
    const send = () =>
      rawRequest(app.baseUrl, {
        path: '/v1/messages/count_tokens',
        headers: { 'x-api-key': user.token },
        body,
      })
    const answers = await Promise.allSettled(Array.from({ length: 20 }, send))
    const seen = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const passed = seen.filter(({ status }) => status === 200)
    expect(passed.length).toBeGreaterThan(0)
    expect(origin.asked).toHaveLength(passed.length)
    for (const { status, headers } of seen.filter(({ status }) => status !== 200)) {
      expect([429, 529]).toContain(status)
      expect(headers['retry-after']).toBe('1')
    }
    origin.script((res) => void res.end('{}'))
    expect((await send()).status).toBe(200)
  })
})

test('neither key nor token is in an answer, a log line, a metric or an error', async () => {
  const secrets = [user.apiKey, user.token]
  const failure = event('error', { error: { type: 'api_error', message: 'broken' } })
  origin.script(
    (res) => void res.writeHead(200, STREAM_HEADERS).end(START + TEXT + END),
    (res) => void res.writeHead(401).end(JSON.stringify({ echoed: user.apiKey })),
    (res) => void res.destroy(),
    (res) => void res.writeHead(200, STREAM_HEADERS).end(START + failure),
  )
  const told: string[] = []
  for (let n = 0; n < 5; n += 1) {
    const { headers, body } = await rawRequest(app.baseUrl, {
      path: '/v1/messages',
      headers: { ...FIXED, 'x-api-key': user.token },
      body: n === 4 ? `{"broken": "${user.token}"` : CLAUDE_CODE,
    })
    told.push(JSON.stringify(headers), body.toString())
  }
  const metrics = await rawRequest(app.baseUrl, { method: 'GET', path: '/metrics' })
  expect(metrics.status).toBe(200)
  for (const text of [...told, metrics.body.toString(), app.logLines.join('\n')]) {
    for (const secret of secrets) expect(text).not.toContain(secret)
  }
  expect(app.logLines.length).toBeGreaterThan(0)
})
