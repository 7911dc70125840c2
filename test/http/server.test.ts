/** What every answer has, and what lies at no address. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/start-app.ts'
import { type Answered, get, message, post, postByHand, toolCall } from './posting.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
})
afterAll(() => app.close())

const answers: [string, () => Promise<Answered>][] = [
  ['a page', () => get(`${app.baseUrl}/health`)],
  ['a probe', () => get(`${app.baseUrl}/livez`)],
  ['nothing', () => get(`${app.baseUrl}/nothing`)],
  ['an MCP answer', () => post(app.url, message('tools/list'))],
  ['a refused body', () => post(app.url, 'nonsense')],
  ['a challenge', () => post(app.url, toolCall('send_message'))],
]

test.each(answers)('%s has the security headers', async (_name, ask) => {
  const { headers } = await ask()
  expect(headers.get('x-powered-by')).toBeNull()
  expect(headers.get('server')).toBeNull()
  expect(headers.get('content-security-policy')).toContain("default-src 'self'")
  expect(headers.get('strict-transport-security')).toMatch(/max-age=\d{8}/)
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('x-frame-options')).toBe('SAMEORIGIN')
  expect(headers.get('referrer-policy')).toBe('no-referrer')
})

test.each(answers)('%s has a request id of its own, which the log has too', async (_name, ask) => {
  const ids = [(await ask()).headers.get('x-request-id'), (await ask()).headers.get('x-request-id')]
  expect(new Set(ids).size).toBe(2)
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(app.logLines.filter((line) => line.includes(`"requestId":"${id}"`))).toHaveLength(1)
  }
})

test.each(['/nothing', '/mcp/more', '/metrics', '/index.html', '/.env', '/%zz', '/livez/x'])(
  'there is nothing at %s, and that is JSON',
  async (path) => {
    const { status, headers, json } = await get(app.baseUrl + path)
    expect(status).toBe(404)
    expect(headers.get('content-type')).toMatch(/^application\/json/)
    expect(json).toMatchObject({ success: false, error: { code: 'not_found', retryable: false } })
  },
)

test('a path that nobody has is not repeated in the answer, nor in the log', async () => {
  const { text } = await get(`${app.baseUrl}/sk-ant-api03-pasted?token=also-pasted`)
  expect(text).not.toContain('pasted')
  expect(app.logLines.join('')).not.toContain('pasted')
})

test('a gateway that was told no names has those of this machine only', async () => {
  const ask = (headers: Record<string, string>) =>
    postByHand(app.url, message('tools/list'), headers)
  expect((await ask({ host: 'gateway.example' })).status).toBe(403)
  expect((await ask({ origin: 'https://console.example' })).status).toBe(403)
  expect((await ask({ host: 'localhost', origin: 'http://localhost:5173' })).status).toBe(200)
})
