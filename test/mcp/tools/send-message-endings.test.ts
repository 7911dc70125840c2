/** The ways in which Claude ends an answer, besides being done. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

let app: TestApp
let client: TestClient
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  const { accessToken } = await app.register()
  client = await app.connect('modern', accessToken)
})
beforeEach(() => app.claude.reset())
afterAll(() => app.close())

const send = async (args: Record<string, unknown> = {}) =>
  (await client.call('send_message', { message: 'Hello, Claude.', ...args })).structured.data
const historyOf = async (conversation_id: string) =>
  (await client.call('get_conversation_history', { conversation_id })).structured.messages
const lastMessages = () => {
  const { messages } = (app.claude.messageRequests().at(-1)?.json ?? {}) as Body
  return messages
}
type Body = { messages?: unknown[] }

test('max_tokens: truncated, and part of the history all the same', async () => {
  const data = await send({ message: 'one two three four', max_tokens: 2 })
  expect(data).toMatchObject({
    status: 'complete',
    content: 'one two ',
    stop_reason: 'max_tokens',
    truncated: true,
    refused: false,
    request_id: expect.stringMatching(/^req_/),
    warnings: [],
  })
  const { conversation_id } = data
  expect(await send({ conversation_id })).toMatchObject({ history: { sent: 2, omitted: 0 } })
})

test('a full context window: truncated', async () => {
  app.claude.setReply({ text: 'No more', stopReason: 'model_context_window_exceeded' })
  expect(await send()).toMatchObject({
    stop_reason: 'model_context_window_exceeded',
    truncated: true,
  })
})

test('a stop sequence is named', async () => {
  expect(await send({ message: 'before STOP after', stop_sequences: ['STOP'] })).toMatchObject({
    content: 'before ',
    stop_reason: 'stop_sequence',
    stop_sequence: 'STOP',
    truncated: false,
  })
})

test('a stop reason of tomorrow is passed on', async () => {
  app.claude.setReply({ text: 'Well.', stopReason: 'some_new_reason' })
  expect(await send()).toMatchObject({
    status: 'complete',
    content: 'Well.',
    stop_reason: 'some_new_reason',
    truncated: false,
  })
})

test.each([
  ['before any text', { text: '' }],
  ['in the middle', { text: 'I was about to' }],
])('a refusal %s is told, and is not part of the history', async (_name, partial) => {
  const { conversation_id } = await send({ message: 'Harmless.' })
  app.claude.setReply({ refusalCategory: 'cyber', ...partial })
  const refused = await send({ conversation_id, message: 'Harmful.' })
  expect(refused).toMatchObject({
    status: 'refused',
    content: '',
    refused: true,
    refusal_category: 'cyber',
    stop_reason: 'refusal',
    request_id: expect.stringMatching(/^req_/),
  })
  expect((await historyOf(conversation_id)).slice(2)).toMatchObject([
    // What cost nothing is not kept.
    { role: 'user', content: partial.text ? 'Harmful.' : '', status: 'refused' },
    { role: 'assistant', content: '', status: 'refused', id: refused.message_id },
  ])

  app.claude.setReply(undefined)
  const next = await send({ conversation_id, message: 'Harmless again.' })
  expect(next.history).toEqual({ sent: 2, omitted: 0 })
  expect(JSON.stringify(lastMessages())).not.toMatch(/Harmful|about to/)
})

test('an answer without text is complete, says so, and leaves no half turn', async () => {
  app.claude.setReply({ text: '' })
  const empty = await send()
  expect(empty).toMatchObject({
    status: 'complete',
    content: '',
    stop_reason: 'end_turn',
    truncated: false,
    warnings: ['Claude ended its answer without any text.'],
  })
  app.claude.setReply(undefined)
  const { conversation_id } = empty
  const next = await send({ conversation_id, message: 'Still there?' })
  expect(next.history).toEqual({ sent: 0, omitted: 2 })
  expect(lastMessages()).toEqual([
    { role: 'user', content: [{ type: 'text', text: 'Still there?' }] },
  ])
})

test('an answer used up by thinking says what to do', async () => {
  expect(await send({ model: 'opus', max_tokens: 8 })).toMatchObject({
    status: 'complete',
    content: '',
    stop_reason: 'max_tokens',
    truncated: true,
    usage: { output_tokens: 8 },
    warnings: [expect.stringContaining('Send again with a larger max_tokens')],
  })
})
