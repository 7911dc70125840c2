import { expect, test } from 'vitest'
import { labelsOf } from '../../../src/services/pass-through/labels.ts'

const UUID = '0b5f0ad4-17c1-4a0e-9f5c-1d2e3f4a5b6c'
const sessionOf = (headers: string[], endUserId: string | null = null) =>
  labelsOf(headers, endUserId).sessionLabel

test('the session of the header comes first', () => {
  const json = JSON.stringify({ device_id: 'd', account_uuid: '', session_id: 'other' })
  expect(sessionOf(['X-Claude-Code-Session-Id', UUID], json)).toBe(UUID)
})

test.each([
  [JSON.stringify({ device_id: 'd', session_id: UUID }), UUID],
  [`user_abc_account__session_${UUID}`, UUID],
  ['user_abc', null],
  ['{"session_id":7}', null],
  ['{broken', null],
  [JSON.stringify({ session_id: 'x'.repeat(65) }), null],
  [JSON.stringify({ session_id: "a'; drop table" }), null],
  ['', null],
  [null, null],
])('in metadata.user_id %s it is %s', (endUserId, expected) => {
  expect(sessionOf([], endUserId)).toBe(expected)
})

test('a value that is no label is none', () => {
  expect(sessionOf(['x-claude-code-session-id', 'x'.repeat(10_000)])).toBeNull()
  expect(sessionOf(['x-claude-code-session-id', 'a b'])).toBeNull()
})

test('the program, without its version', () => {
  const client = (userAgent: string) => labelsOf(['User-Agent', userAgent], null).client
  expect(client('claude-cli/2.1.332 (external, sdk-cli)')).toBe('claude-cli')
  expect(client('Anthropic/JS 1.14.0')).toBe('Anthropic')
  expect(client('<script>')).toBeNull()
})

test('a tag, an agent and a class', () => {
  const headers = [
    'X-Gateway-Tag',
    ' team blue ',
    'x-claude-code-agent-id',
    'a1',
    'x-claude-code-request-class',
    'subagent',
  ]
  expect(labelsOf(headers, null)).toMatchObject({
    tag: 'team blue',
    agentId: 'a1',
    requestClass: 'subagent',
  })
  expect(labelsOf(['x-gateway-tag', 'x'.repeat(65)], null).tag).toBeNull()
})
