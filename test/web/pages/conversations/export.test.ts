/** Conversations as files, downloaded from the pages. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { browserOf, type Visitor } from '../visiting.ts'
import { begin, signUpToTalk } from './talking.ts'

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  ada = await signUpToTalk(app)
})
afterAll(() => app.close())

test('is linked from the conversation, and holds it', async () => {
  const path = await begin(ada, 'A line to take away')
  const { html } = ada.browser.page
  for (const [format, type] of [
    ['markdown', 'text/markdown; charset=utf-8'],
    ['json', 'application/json; charset=utf-8'],
  ]) {
    expect(html).toContain(`href="${path}/export?format=${format}"`)
    const file = await ada.browser.open(`${path}/export?format=${format}`)
    expect(file.headers.get('content-type')).toBe(type)
    expect(file.headers.get('cache-control')).toBe('no-store')
    expect(file.html).toContain('A line to take away')
  }
})

test.each([
  [
    'Grüße/an\\die: "Welt"?',
    /filename\*=UTF-8''Gr%C3%BC%C3%9Fe%20an%20die%20Welt%20[0-9a-f]{8}\.md/,
  ],
  ['x\r\nSet-Cookie: a=b', /filename="x [0-9a-f]{8}\.md"/],
  ['../../etc/passwd', /filename="etc passwd [0-9a-f]{8}\.md"/],
  ['"; filename=evil.exe; x="', /filename="filename=evil\.exe x= [0-9a-f]{8}\.md"/],
  ['CON', /filename="CON [0-9a-f]{8}\.md"/],
  ['abc\u202egnp.exe', /filename="abcgnp\.exe [0-9a-f]{8}\.md"/],
  ['…', /[0-9a-f]{8}\.md/],
])('the title %j makes a harmless name', async (title, name) => {
  const path = await begin(ada, title)
  const file = await ada.browser.open(`${path}/export?format=markdown`)
  expect(file.headers.get('content-disposition')).toMatch(name)
  expect(file.headers.get('content-disposition')).toMatch(/^attachment; /)
  expect(file.headers.get('set-cookie')).toBeNull()
})

test('of another user, or of nothing, is the same page as that of no conversation', async () => {
  const path = await begin(ada, 'Mine only')
  const eve = await signUpToTalk(app)
  const theirs = await eve.browser.open(`${path}/export?format=json`)
  const nothing = await eve.browser.open(`/account/conversations/${crypto.randomUUID()}/export`)
  expect(theirs.status).toBe(404)
  expect(theirs.html).toBe(nothing.html)
  expect(theirs.headers.get('content-disposition')).toBeNull()
  const stranger = await browserOf(app).open(`${path}/export`)
  expect(stranger.url.pathname).toBe('/sign-in')
})
