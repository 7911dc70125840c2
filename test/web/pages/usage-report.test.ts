/** The charts, tables and files of /account/usage. */

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

async function send({ browser }: Visitor, message: string, tag: string) {
  const { sessions, messages } = app.app.services
  const caller = await sessions.findBrowserSession(cookieOf(browser, 'session').value)
  if (!caller) throw new Error('not signed in')
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
  expect(head).toBe(
    `${group},calls,estimated_calls,unpriced_calls,input_tokens,output_tokens,cache_read_input_tokens,cache_creation_input_tokens,cost_usd`,
  )
  expect(row).toMatch(/,1,\d+,\d+,\d+,\d+,\d+,\d+,\d+\.\d{9}$/)
})

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
