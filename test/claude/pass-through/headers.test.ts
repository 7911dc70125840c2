import fc from 'fast-check'
import { expect, test } from 'vitest'
import { requestHeaders, responseHeaders } from '../../../src/claude/pass-through/headers.ts'

const KEY = 'sk-ant-api03-secret'
const OURS = { authorization: [`Bearer ${KEY}`], 'accept-encoding': ['identity'] }

test('what a client says of its request passes, known or not', () => {
  const raw = [
    ['Anthropic-Version', '2023-06-01'],
    ['anthropic-beta', 'a-2026-01-01,b-2026-01-01'],
    ['Anthropic-Beta', 'c-2026-01-01'],
    ['anthropic-dangerous-direct-browser-access', 'true'],
    ['anthropic-of-next-year', '1'],
    ['X-Claude-Code-Session-Id', '0b5f'],
    ['x-claude-code-agent-id', 'agent'],
    ['X-Stainless-Retry-Count', '0'],
    ['User-Agent', 'claude-cli/2.1.332 (external, sdk-cli)'],
    ['x-app', 'cli'],
    ['Content-Type', 'application/json'],
    ['Accept', 'application/json'],
  ].flat()
  expect(requestHeaders(raw, KEY)).toEqual({
    'anthropic-version': ['2023-06-01'],
    'anthropic-beta': ['a-2026-01-01,b-2026-01-01,c-2026-01-01'],
    'anthropic-dangerous-direct-browser-access': ['true'],
    'anthropic-of-next-year': ['1'],
    'x-claude-code-session-id': ['0b5f'],
    'x-claude-code-agent-id': ['agent'],
    'x-stainless-retry-count': ['0'],
    'user-agent': ['claude-cli/2.1.332 (external, sdk-cli)'],
    'x-app': ['cli'],
    'content-type': ['application/json'],
    accept: ['application/json'],
    ...OURS,
  })
})

const PRIVATE = [
  'Authorization',
  'X-Api-Key',
  'Cookie',
  'Host',
  'Connection',
  'Keep-Alive',
  'TE',
  'Transfer-Encoding',
  'Upgrade',
  'Proxy-Authorization',
  'Expect',
  'Content-Length',
  'Content-Encoding',
  'Accept-Encoding',
  'Accept-Language',
  'Forwarded',
  'X-Forwarded-For',
  'X-Real-IP',
  'Via',
  'CF-Connecting-IP',
  'Origin',
  'Referer',
  'Sec-Fetch-Mode',
  'traceparent',
  'X-Gateway-Tag',
  'anthropic-organization-id',
]

test('credentials, addresses and what belongs to one connection do not', () => {
  fc.assert(
    fc.property(fc.subarray(PRIVATE), fc.string(), (names, value) => {
      const raw = names.flatMap((name) => [name, value])
      expect(requestHeaders(raw, KEY)).toEqual(OURS)
    }),
  )
})

test('nor what the Connection header names', () => {
  const raw = ['Connection', 'close, X-Hop', 'X-Hop', '1', 'X-Stays', '2']
  expect(requestHeaders(raw, KEY)).toEqual({ 'x-stays': ['2'], ...OURS })
  const headers = { connection: 'x-hop', 'x-hop': '1', 'request-id': 'req_1' }
  expect(responseHeaders(headers)).toEqual({ 'request-id': 'req_1' })
})

test('of an answer everything passes but cookies, the edge and permissions for web pages', () => {
  const kept = {
    'content-type': 'text/event-stream; charset=utf-8',
    'content-encoding': 'gzip',
    'request-id': 'req_011',
    'anthropic-organization-id': 'org',
    'anthropic-ratelimit-tokens-remaining': '7',
    'anthropic-fast-input-tokens-limit': '1',
    'retry-after': '3',
    'x-should-retry': 'false',
  }
  const dropped = {
    'transfer-encoding': 'chunked',
    connection: 'keep-alive',
    'set-cookie': ['a=1', 'b=2'],
    'alt-svc': 'h3',
    server: 'cloudflare',
    'cf-ray': '1',
    'strict-transport-security': 'max-age=1',
    'access-control-allow-origin': '*',
    'cache-control': 'no-cache',
  }
  expect(responseHeaders({ ...kept, ...dropped, absent: undefined })).toEqual(kept)
})
