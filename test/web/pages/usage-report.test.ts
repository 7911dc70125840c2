/** The charts, tables and files of /account/usage. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { cookieOf, signUp, type Visitor } from './visiting.ts'

const HOSTILE = '=1+1,"</title></svg><script>alert(1)</script>\u202e'
const GROUPS = ['day', 'model', 'tag', 'conversation', 'session', 'client', 'source']

let app: TestApp
let ada: Visitor
let conversationId: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  ada = await signUp(app)
  await ada.browser.open('/account/key')
  await ada.browser.submit('/account/key', { key: 'sk-ant-api03-of-usage' })
  app.claude.setReply(() => ({ text: 'hi', calledModel: `claude-${HOSTILE}` }))
  conversationId = await send(ada, 'canary-of-a-title', HOSTILE)
})
afterAll(() => app.close())

async function callerOf({ browser }: Visitor) {
  const { sessions } = app.app.services
  const caller = await sessions.findBrowserSession(cookieOf(browser, 'session').value)
  if (!caller) throw new Error('not signed in')
  return caller
}

async function send(visitor: Visitor, message: string, tag: string) {
  const { messages } = app.app.services
  const caller = await callerOf(visitor)
  const { signal } = new AbortController()
  const input = { message, tag, thinking: 'off' as const }
  return (await messages.send(caller, input, { waitSeconds: 60, signal })).conversationId
}

test.each(GROUPS)('by %s: a figure for each row, and the same figures in a file', async (group) => {
  const page = await ada.browser.open(`/account/usage?group=${group}`)
  expect(page.status).toBe(200)
  expect(page.html).toContain(`Cost by ${group}`)
  expect(page.html).toMatch(/<svg class="(?:chart|row-bar)"/)
  expect(page.html.match(/<rect class="bar"/g)?.length).toBeGreaterThan(0)
  const [, link = ''] = /href="(\/account\/usage\/csv[^"]*)"/.exec(page.html) ?? []
  const file = await ada.browser.open(link.replaceAll('&amp;', '&'))
  expect(file.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect(file.headers.get('content-disposition')).toMatch(
    new RegExp(`^attachment; filename=usage-by-${group}-[\\d-]+-to-[\\d-]+\\.csv$`),
  )
  expect(file.headers.get('cache-control')).toBe('no-store')
  const [head, row] = file.html.split('\r\n')
  const ofSessions = group === 'session' ? OF_SESSIONS : { head: '', row: '' }
  expect(head).toBe(
    `${group},calls,estimated_calls,unpriced_calls,input_tokens,output_tokens,cache_read_input_tokens,cache_creation_input_tokens,cost_usd${ofSessions.head}`,
  )
  expect(row).toMatch(
    new RegExp(String.raw`,1,\d+,\d+,\d+,\d+,\d+,\d+,\d+\.\d{9}${ofSessions.row}$`),
  )
})

/** What was asked over MCP belongs to no session. */
const OF_SESSIONS = { head: ',models,first_call_at,last_call_at,subagent_cost_usd', row: ',,,,' }

test('a session says when, with which models, and what sub-agents had of it', async () => {
  const eve = await signUp(app)
  const at = new Date('2026-11-20T10:00:30.000Z')
  const model = 'claude-<b>'
  const call = { source: 'messages', sessionLabel: 'night-1', bookedOn: '2026-11-20' } as const
  const lines = [
    { model, callId: randomUUID(), costNanoUsd: 3_000_000n, agentId: 'agent-1', createdAt: at },
    {
      model: 'claude-b',
      callId: randomUUID(),
      costNanoUsd: 1_000_000n,
      createdAt: at,
      msTotal: 90_000,
    },
  ]
  const { userId } = await callerOf(eve)
  for (const line of lines) {
    await app.app.db
      .insertInto('ledger')
      .values({ ...COUNTED, ...call, ...line, userId })
      .execute()
  }
  const range = 'group=session&from=2026-11-20&to=2026-11-20'
  const page = await eve.browser.open(`/account/usage?${range}`)
  expect(page.text).toMatch(/First call 20 Nov 2026, 09:59 UTC ?, last 20 Nov 2026, 10:00 UTC/)
  expect(page.html).toContain('claude-&lt;b&gt;, claude-b')
  expect(page.text).toContain('25 % of the input from the cache. 75 % of the cost by sub-agents.')
  const file = await eve.browser.open(`/account/usage/csv?${range}`)
  expect(file.html.split('\r\n')[1]).toMatch(
    /^night-1,2,.*,claude-<b> claude-b,2026-11-20T09:59:00.000Z,2026-11-20T10:00:30.000Z,0.003000000$/,
  )
})

const COUNTED = {
  inputTokens: 30,
  cacheWrite5mTokens: 0,
  cacheWrite1hTokens: 0,
  cacheReadTokens: 10,
  outputTokens: 7,
  thinkingTokens: 0,
  unitPrices: null,
  estimated: null,
  requestId: null,
}

describe('names that others chose', () => {
  test.each(GROUPS)('are text, in the figures too: by %s', async (group) => {
    const { html } = await ada.browser.open(`/account/usage?group=${group}`)
    expect(html).not.toMatch(/<script|\u202e/)
    if (group === 'tag') expect(html).toContain('&lt;script&gt;')
  })

  test('are no formula in a file', async () => {
    const file = await ada.browser.open('/account/usage/csv?group=tag')
    expect(file.html.split('\r\n')[1]).toMatch(/^"'=1\+1,""/)
  })
})

test('a conversation is linked, and without its title', async () => {
  const { html } = await ada.browser.open('/account/usage?group=conversation')
  expect(html).toContain(`href="/account/conversations/${conversationId}"`)
})

test('shows the visitor’s own figures only', async () => {
  const stranger = await signUp(app)
  for (const group of GROUPS) {
    const page = await stranger.browser.open(`/account/usage?group=${group}`)
    expect(page.text).toContain('Nothing in these days.')
    const file = await stranger.browser.open(`/account/usage/csv?group=${group}`)
    expect(file.html.trim().split('\r\n')).toHaveLength(1)
  }
})

describe('days', () => {
  test('that are given are shown, with those on which nothing was sent', async () => {
    const to = new Date().toISOString().slice(0, 10)
    const from = new Date(Date.parse(to) - 9 * 86_400_000).toISOString().slice(0, 10)
    const page = await ada.browser.open(`/account/usage?group=day&from=${from}&to=${to}`)
    expect(page.html.match(/<rect class="bar"/g)).toHaveLength(10)
    expect(page.html).toContain(`value="${from}"`)
    const before = await ada.browser.open('/account/usage?from=2025-01-01&to=2025-01-31')
    expect(before.text).toContain('Nothing in these days.')
  })

  test.each([
    ['from=2026-02-30', 'must be a day'],
    ['from=yesterday', 'must be a day'],
    ['from=0001-01-01', '2020-01-01 or later'],
    ['from=2026-03-02&to=2026-03-01', 'must not be after'],
    ['from=2024-01-01&to=2026-01-01', 'At most 366 days'],
    ['from=%3Cscript%3E', 'must be a day'],
  ])('%s are refused beside their field', async (query, words) => {
    const page = await ada.browser.open(`/account/usage?${query}`)
    expect(page.status).toBe(422)
    expect(page.html).toContain('id="field-from-error"')
    expect(page.text).toContain(words)
    expect(page.html).not.toContain('<script>')
    expect((await ada.browser.open(`/account/usage/csv?${query}`)).status).toBe(400)
  })
})

test('no filter reaches the log', async () => {
  await ada.browser.open('/account/usage?group=canary-in-an-address&from=2026-01-01')
  expect(app.logLines.join('\n')).not.toMatch(/canary-in-an-address|2026-01-01&/)
})
