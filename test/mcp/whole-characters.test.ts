/** Text that is cut, halved or would end a line, on its way in and out. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bearer, MODERN, message, modern, post, toolCall } from '../http/posting.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'

const FACE = '\u{1f600}'
const LINE_ENDS = ['\u0085', '\u2028', '\u2029']
const isWhole = (text: string) => text.isWellFormed() && !text.includes('\ufffd')

describe.each(eras)('%s era', (era) => {
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    // Each event brings half of a pair, and there is time to look in between.
    app = await startApp({
      kind: 'embedded',
      claude: { chunkSize: 1, splitsCharacters: true, chunkDelayMs: 30 },
    })
    user = await app.register()
  })
  afterAll(() => app.close())

  function send(plain: { method: string; params?: object }, headers: Record<string, string> = {}) {
    const sent = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    return post(app.url, sent.body, { ...bearer(user.accessToken), ...sent.headers, ...headers })
  }
  const call = (tool: string, args: unknown, headers: Record<string, string> = {}) =>
    send(toolCall(tool, args), headers)
  const data = (answer: Awaited<ReturnType<typeof call>>) =>
    answer.json.result.structuredContent.data

  test('a running answer says that it is unfinished, and ends with a whole character', async () => {
    const sent = data(await call('send_message', { message: FACE.repeat(60), wait_seconds: 0.2 }))
    expect(sent.status).toBe('running')
    const words = `unfinished: call claude-api-gateway_get_message with message_id ${sent.message_id}`
    expect(sent.warnings.join()).toContain(words)
    for (let look = 0; look < 5; look++) {
      const args = { message_id: sent.message_id, wait_seconds: 0.05 }
      const seen = data(await call('get_message', args))
      expect(isWhole(seen.content)).toBe(true)
      expect(seen.warnings.join().includes(words)).toBe(seen.status === 'running')
    }
    const last = data(await call('get_message', { message_id: sent.message_id, wait_seconds: 60 }))
    expect(last).toMatchObject({ status: 'complete', content: FACE.repeat(60), warnings: [] })
  })

  test.each([
    ['ends in half a character', 'cut here \ud83d', 'cut here '],
    ['has half a character within', 'a\ud83db', 'a\ufffdb'],
  ])(
    'an answer of Claude that %s is stored and shown in whole ones',
    async (_what, text, shown) => {
      app.claude.setReply({ text })
      const sent = data(await call('send_message', { message: 'Hello' }))
      app.claude.setReply(undefined)
      expect(sent.content).toBe(shown)
      const args = { conversation_id: sent.conversation_id }
      const history = await call('get_conversation_history', args)
      expect(history.json.result.structuredContent.messages[1].content).toBe(shown)
      const again = await call('send_message', { ...args, message: 'Go on' })
      expect(data(again).status).toBe('complete')
    },
  )

  test('progress never holds half a character', async () => {
    const plain = toolCall('send_message', { message: FACE.repeat(250) })
    const meta = { progressToken: 'p' }
    const { body, headers } = era === 'modern' ? modern(plain) : { body: plain, headers: {} }
    const params = body.params as { _meta?: object }
    params._meta = { ...params._meta, ...meta }
    const answer = await post(app.url, body, { ...bearer(user.accessToken), ...headers })
    const messages = answer.text
      .split('\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => JSON.parse(line.slice(6)))
    const told = messages.filter(({ method }) => method === 'notifications/progress')
    expect(told.length).toBeGreaterThan(5)
    for (const { params } of told) expect(isWhole(params.message), params.message).toBe(true)
  })

  test.each([
    ['send_message', { message: 'a\ud83d' }, 'message'],
    ['send_message', { message: '\ude00a' }, 'message'],
    ['send_message', { message: 'a', system_prompt: '\ud83d\ud83d' }, 'system_prompt'],
    ['send_message', { message: 'a', stop_sequences: ['x', '\ud83d'] }, 'stop_sequences'],
    ['send_message', { message: 'a', tag: '\ud83d' }, 'tag'],
    ['send_message', { message: 'a', idempotency_key: '\ud83d' }, 'idempotency_key'],
    ['get_conversations', { cursor: '\ude00' }, 'cursor'],
    ['get_conversations', { limit: { deep: [{ er: '\ude00' }] } }, 'limit'],
    ['get_conversations', { 'x\ud83d': 1 }, 'x\ufffd'],
  ])('half a pair in an argument of %s is refused by name: %j', async (tool, args, field) => {
    const { json, text } = await call(tool, args)
    expect(json.result.isError).toBe(true)
    const { error } = json.result.structuredContent
    expect([error.code, error.details.fields]).toEqual(['invalid_input', [field]])
    expect(error.message).toContain(`${field} must not hold half a surrogate pair`)
    expect(text).not.toMatch(/\\ud[89a-f]/i)
  })

  test('what some take for the end of a line is escaped, however it is answered', async () => {
    const text = `one${LINE_ENDS.join('two')}\\${LINE_ENDS[1]}`
    const streamed = await call('send_message', { message: text })
    expect(data(streamed).content).toBe(text)
    const id = data(streamed).conversation_id
    const listed = await call('get_conversation_history', { conversation_id: id })
    expect(listed.json.result.structuredContent.messages[0].content).toBe(text)
    // The same by the SDK of the era, which writes it itself.
    const slowly = { 'content-type': 'application/json; charset=utf-8' }
    const bySdk = await call('get_conversation_history', { conversation_id: id }, slowly)
    expect(bySdk.json.result).toEqual(listed.json.result)
    const short = await call('send_message', { message: text }, slowly)
    expect(data(short).content).toBe(text)
    const unknown = await send(
      message('tools/call', { name: `x${text}` }),
      era === 'modern' ? { 'mcp-name': 'x' } : {},
    )
    for (const answer of [streamed, listed, bySdk, short, unknown]) {
      expect(answer.headers.get('cache-control')).toContain('no-store')
      for (const end of LINE_ENDS) expect(answer.text).not.toContain(end)
    }
    expect(streamed.text).toContain('\\u2028')
  })
})

test('the modern version is what these tests ask for', () => expect(MODERN).toBe('2026-07-28'))
