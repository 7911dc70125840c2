/** Bodies made to cost more than they should, from senders whom nobody knows. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, post, toolCall } from './raw-mcp.ts'

let app: TestApp
let user: TestUser

beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { MAX_TOOL_INPUT_ELEMENTS: '100' } })
  user = await app.register()
})
afterAll(() => app.close())

const MANY = 11_000

async function postText(json: string, contentType = 'application/json') {
  const body = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":${json}}}}`
  const headers = {
    'Content-Type': contentType,
    Accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': '2025-11-25',
  }
  const response = await fetch(app.url, { method: 'POST', headers, body })
  return { status: response.status, json: JSON.parse(await response.text()) }
}

test.each([
  ['a wide list', `[${Array(MANY).fill(0).join(',')}]`],
  ['many names', `{${Array.from({ length: MANY }, (_, i) => `"k${i}":0`).join(',')}}`],
  ['many after a text that ends in a backslash', `["\\\\",${Array(MANY).fill(0).join(',')}]`],
  ['many after a text with a quote in it', `["\\"",${Array(MANY).fill(0).join(',')}]`],
])('%s are refused unparsed', async (_name, json) => {
  const answer = await postText(json)
  expect(answer.status).toBe(413)
  const message = expect.stringMatching(/too many values.*MAX_TOOL_INPUT_ELEMENTS/)
  expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32600, message } })
})

test.each([
  ['lists in lists', '['.repeat(MANY) + ']'.repeat(MANY)],
  ['objects in objects', '{"a":'.repeat(MANY) + 1 + '}'.repeat(MANY)],
  ['no deeper than needed', '['.repeat(254) + ']'.repeat(254)],
  ['with quotes on the way', '["\\\\\\"[",'.repeat(3000) + 0 + ']'.repeat(3000)],
])('nested too deeply (%s) is refused unparsed', async (_name, json) => {
  const answer = await postText(json)
  expect(answer.status).toBe(400)
  expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32600 } })
  expect(answer.json.error.message).toContain('nested too deeply')
})

test('as many commas and brackets in a text are only a text', async () => {
  const message = ',[{"\\'.repeat(MANY)
  const request = toolCall('modern', 'send_message', { message })
  const { messages } = await post(app.url, request, bearer(user.accessToken))
  expect(messages.at(-1)?.result.structuredContent.success).toBe(true)
  const [asked] = app.claude.messageRequests()
  expect(asked?.body.includes(JSON.stringify(message))).toBe(true)
})

test('what is not in UTF-8 is refused', async () => {
  expect((await postText('0', 'application/json; charset=utf-8')).status).toBe(200)
  const { status, json } = await postText('0', 'application/json; charset=utf-16')
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect(json.error.code).toBe(-32600)
})

test.each(['99999999999999', '999999999999999', '253402300800000', '8640000000000001'])(
  'a cursor made up of the time %s is a cursor or invalid, never a fault',
  async (time) => {
    const text = `${time}.00000000-0000-0000-0000-000000000000`
    const cursor = Buffer.from(text).toString('base64url')
    const request = toolCall('legacy', 'get_conversations', { cursor })
    const { messages } = await post(app.url, request, bearer(user.accessToken))
    const { success, error } = messages.at(-1)?.result.structuredContent ?? {}
    expect([success, error?.code]).toBeOneOf([
      [true, undefined],
      [false, 'invalid_input'],
    ])
  },
)
