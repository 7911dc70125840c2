/** What is at the addresses of the endpoint for those who are no MCP client, or went beside it. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../support/start-app.ts'
import { bearer, get, message, post, postByHand } from './posting.ts'

const PUBLIC_URL = 'https://gateway.example'
/** As Chromium and Firefox send them. */
const BROWSERS = [
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
]

let app: TestApp
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL } })
})
afterAll(() => app.close())

describe.each(['/mcp', '/mcp/open', '/mcp/', '/MCP'])('%s', (path) => {
  test.each(BROWSERS)('is a page in a browser: what it is, and how to connect', async (accept) => {
    const page = await get(`${app.baseUrl}${path}`, { accept })
    expect(page.status).toBe(200)
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(page.text).toContain('An address for MCP clients')
    expect(page.text).toContain(`<code class="copy">${PUBLIC_URL}/mcp</code>`)
    expect(page.text).toContain(`claude mcp add --transport http claude ${PUBLIC_URL}/mcp</code>`)
    expect(page.text).toContain(`<code class="copy">${PUBLIC_URL}/mcp/open</code>`)
  })

  test.each(['*/*', 'text/event-stream', 'application/json', 'text/event-stream, text/html'])(
    'is none for a program that takes %s',
    async (accept) => {
      const { headers } = await get(`${app.baseUrl}${path}`, { accept })
      expect(headers.get('content-type')).toContain('application/json')
    },
  )

  test('is none for who sends a token', async () => {
    const headers = { accept: BROWSERS[0] as string, ...bearer('wrong') }
    expect((await get(`${app.baseUrl}${path}`, headers)).status).toBe(401)
  })

  test('is none under a foreign name', async () => {
    const headers = { accept: BROWSERS[0] as string, host: 'evil.example' }
    const { status, text } = await postByHand(`${app.baseUrl}${path}`, {}, headers, 'GET')
    expect([status, text]).toEqual([403, expect.not.stringContaining('<html')])
  })
})

test('POST / says in JSON where MCP is, also to who would take a page', async () => {
  for (const accept of ['application/json, text/event-stream', '*/*', BROWSERS[0] as string]) {
    const answer = await post(`${app.baseUrl}/`, message('initialize'), { accept })
    expect(answer).toMatchObject({
      status: 404,
      json: { jsonrpc: '2.0', error: { message: expect.stringContaining(`${PUBLIC_URL}/mcp.`) } },
    })
  }
})

test('so does any other address that there is not', async () => {
  for (const path of ['/sse', '/mcp/v1', '/api/mcp']) {
    const answer = await post(`${app.baseUrl}${path}`, message('initialize'))
    expect([answer.status, answer.json.error.message]).toEqual([
      404,
      expect.stringContaining('MCP is at /mcp.'),
    ])
  }
})
