/** Wrong arguments: refused before anything happens, by name, and never quoted. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eras, startApp, type TestApp, type TestClient } from '../support/start-app.ts'

let app: TestApp
let client: TestClient

beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  const user = await app.register()
  client = await app.connect('legacy', user.accessToken)
  app.claude.reset()
})
afterAll(() => app.close())

const SECRET = 'Hunter2-never-shown'
const UUID = '00000000-0000-7000-8000-000000000000'
const user = { username: 'grace', email: 'grace@example.com', anthropic_api_key: 'sk-ant-api03-x' }

const WRONG: [tool: string, field: string, args: Record<string, unknown>][] = [
  ['register_user', 'username', { ...user, username: undefined }],
  ['register_user', 'username', { ...user, username: 'ab' }],
  ['register_user', 'username', { ...user, username: 'x'.repeat(65) }],
  ['register_user', 'username', { ...user, username: `${SECRET} with blanks` }],
  ['register_user', 'username', { ...user, username: 'gräce' }],
  ['register_user', 'email', { ...user, email: SECRET }],
  ['register_user', 'email', { ...user, email: `${'x'.repeat(250)}@example.com` }],
  ['register_user', 'anthropic_api_key', { ...user, anthropic_api_key: '  ' }],
  ['register_user', 'anthropic_api_key', { ...user, anthropic_api_key: `${SECRET} ${SECRET}` }],
  ['register_user', 'anthropic_api_key', { ...user, anthropic_api_key: `${SECRET}…` }],
  ['register_user', 'anthropic_api_key', { ...user, anthropic_api_key: SECRET.repeat(40) }],
  ['register_user', 'no_such_field', { ...user, no_such_field: SECRET }],
  ['authenticate_user', 'password', { username: 'grace' }],
  ['authenticate_user', 'password', { username: 'grace', password: { [SECRET]: SECRET } }],
  ['authenticate_user', 'password', { username: 'grace', password: SECRET.repeat(60) }],
  ['authenticate_user', 'username', { username: '', password: SECRET }],
  ['authenticate_user', 'no_such_field', { username: 'a', password: 'b', no_such_field: SECRET }],
  ['rotate_token', 'no_such_field', { no_such_field: SECRET }],
  ['revoke_token', 'all_sessions', { all_sessions: SECRET }],
  ['revoke_token', 'no_such_field', { no_such_field: SECRET }],
  ['send_message', 'message', {}],
  ['send_message', 'message', { message: ' \n' }],
  ['send_message', 'message', { message: [SECRET] }],
  ['send_message', 'conversation_id', { message: 'm', conversation_id: SECRET }],
  ['send_message', 'model', { message: 'm', model: ' ' }],
  ['send_message', 'model', { message: 'm', model: SECRET.repeat(20) }],
  ['send_message', 'max_tokens', { message: 'm', max_tokens: 0 }],
  ['send_message', 'max_tokens', { message: 'm', max_tokens: 1.5 }],
  ['send_message', 'max_tokens', { message: 'm', max_tokens: SECRET }],
  ['send_message', 'temperature', { message: 'm', temperature: 1.01 }],
  ['send_message', 'temperature', { message: 'm', temperature: -0.1 }],
  ['send_message', 'system_prompt', { message: 'm', system_prompt: 7 }],
  ['send_message', 'stop_sequences', { message: 'm', stop_sequences: SECRET }],
  ['send_message', 'stop_sequences.1', { message: 'm', stop_sequences: ['ok', ' '] }],
  ['send_message', 'thinking', { message: 'm', thinking: SECRET }],
  ['send_message', 'effort', { message: 'm', effort: SECRET }],
  ['send_message', 'idempotency_key', { message: 'm', idempotency_key: '' }],
  ['send_message', 'idempotency_key', { message: 'm', idempotency_key: SECRET.repeat(20) }],
  ['send_message', 'no_such_field', { message: 'm', no_such_field: SECRET }],
  ['get_conversations', 'limit', { limit: 0 }],
  ['get_conversations', 'limit', { limit: 201 }],
  ['get_conversations', 'limit', { limit: 2.5 }],
  ['get_conversations', 'offset', { offset: -1 }],
  ['get_conversations', 'cursor', { cursor: 1 }],
  ['get_conversations', 'no_such_field', { no_such_field: SECRET }],
  ['get_conversation_history', 'conversation_id', {}],
  ['get_conversation_history', 'conversation_id', { conversation_id: SECRET }],
  ['get_conversation_history', 'limit', { conversation_id: UUID, limit: 0 }],
  ['get_conversation_history', 'before', { conversation_id: UUID, before: SECRET }],
  ['get_conversation_history', 'no_such_field', { conversation_id: UUID, no_such_field: SECRET }],
  ['health_check', 'no_such_field', { no_such_field: SECRET }],
]

test.each(WRONG)('%s names a wrong %s and does not quote it', async (tool, field, args) => {
  const answer = await client.call(tool, args)
  expect(answer.isError).toBe(true)
  expect(answer.structured).toMatchObject({
    success: false,
    error: { code: 'invalid_input', retryable: false, details: { fields: [field] } },
  })
  expect(answer.structured.error.message).toContain(field)
  expect(answer.text).not.toContain(SECRET)
})

test.each([
  ['send_message', {}, 'message is missing.'],
  ['send_message', { message: null }, 'message is missing.'],
  ['send_message', { message: 7 }, 'message must be text.'],
  ['send_message', { message: 'm', max_tokens: '5' }, 'max_tokens must be a number.'],
  [
    'get_usage',
    { group_by: 'week' },
    'group_by must be day, model, conversation, tag, session, client, source, key, user, team, member or payer.',
  ],
  ['get_conversation_history', {}, 'conversation_id is missing.'],
  ['health_check', { a: 1 }, 'a is unknown. It takes no arguments.'],
  [
    'get_conversations',
    { limit: 0, offset: 'x', page: 2 },
    'limit must be at least 1; offset must be a number; page is unknown. Its arguments are: access_token, filter, team, limit, offset, cursor.',
  ],
])('%s of %j is refused in plain English', async (tool, args, message) => {
  const answer = await client.call(tool, args)
  expect(answer.structured.error.message).toBe(message)
})

test('every wrong field is named at once', async () => {
  const answer = await client.call('register_user', { username: 'x', email: 'y', extra: 1 })
  expect(answer.structured.error.details.fields.sort()).toEqual([
    'anthropic_api_key',
    'email',
    'extra',
    'username',
  ])
})

test('what was refused went nowhere', async () => {
  expect(app.claude.journal).toEqual([])
  const { structured } = await client.call('get_conversations')
  expect(structured.total).toBe(0)
  expect(app.logLines.join('')).not.toContain(SECRET)
})

describe.each(eras)('%s era', (era) => {
  test('arguments of too many values are refused before they are looked at', async () => {
    const anyone = await app.connect(era)
    const extra = Array.from({ length: 10_001 }, () => SECRET)
    const answer = await anyone.call('health_check', { extra })
    expect(answer.structured.error.code).toBe('invalid_input')
    expect(answer.structured.error.message).toContain('10000')
    expect(answer.structured.error.details).toBeUndefined()
  })

  test('a tool that does not exist is a protocol error', async () => {
    const anyone = await app.connect(era)
    await expect(anyone.call('no_such_tool')).rejects.toMatchObject({ code: -32602 })
  })

  test('a resource that does not exist is a protocol error', async () => {
    const { accessToken } = await app.register()
    const { raw } = await app.connect(era, accessToken)
    const read = raw.readResource({ uri: 'mcp://claude-api-gateway/no-such' })
    await expect(read).rejects.toMatchObject({ code: era === 'legacy' ? -32002 : -32602 })
  })
})
