/** What was typed into a form is on the page that says why the form was not taken. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Visited } from '../../support/browser.ts'
import { browserSession } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { begin, signUpToTalk } from './conversations/talking.ts'
import { browserOf, signIn, type Visitor } from './visiting.ts'

const NEW = '/account/conversations/new'
const REQUESTS = '/account/requests'
const TEXT = 'A long <b>letter</b>\n\nwith "two" parts'

let app: TestApp
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
})
beforeEach(async () => {
  app.claude.reset()
  ada = await signUpToTalk(app)
})
afterAll(() => app.close())

const endSessions = ({ userId }: Visitor) =>
  sql`update sessions set revoked_at = now() where user_id = ${userId}`.execute(app.app.db)

/** As a person does who follows the link of the page to a new tab. */
async function signInBeside({ browser, username }: Visitor): Promise<void> {
  const tab = browser.clone()
  await signIn(tab, username)
  for (const [name, value] of tab.cookies) browser.cookies.set(name, value)
}

function expectKept({ html, headers }: Visited, name = 'message'): void {
  expect(html).toMatch(new RegExp(`<textarea id="field-${name}"`))
  expect(html).toContain('A long &lt;b&gt;letter&lt;/b&gt;')
  expect(headers.get('cache-control')).toBe('no-store')
}

const formAt = ({ browser }: Visitor, path: string) =>
  browser.forms().find(({ action }) => action === path)

describe('after the session has ended', () => {
  const placesOf = async () => {
    const path = await begin(ada, 'Begin')
    await ada.browser.open(path)
    const edit = /href="([^"]*\/edit\/[^"]*)"/.exec(ada.browser.page.html)?.[1] ?? ''
    return { new: [NEW, NEW], messages: [path, `${path}/messages`], edit: [edit, edit] } as const
  }

  test.each(['new', 'messages', 'edit'] as const)('a message (%s) is kept', async (place) => {
    const [page, action] = (await placesOf())[place]
    await ada.browser.open(page)
    await endSessions(ada)
    const asked = app.claude.messageRequests().length
    const ended = await ada.browser.submit(action, { message: TEXT })
    expect(ended.status).toBe(403)
    expect(ended.text).toContain('Your session has ended')
    expect(ended.html).toContain(`href="/sign-in?return_to=${encodeURIComponent(page)}"`)
    expectKept(ended)
    expect(formAt(ada, action)?.fields.map(([name]) => name)).not.toContain('csrf_token')
    await signInBeside(ada)
    const again = await ada.browser.submit(action)
    expect(again.status).toBe(403)
    expectKept(again)
    expect(app.claude.messageRequests()).toHaveLength(asked)
    const sent = await ada.browser.submit(action)
    expect(sent.status).toBe(200)
    expect(sent.text).toContain('A long <b>letter</b> with "two" parts')
    expect(app.claude.messageRequests()).toHaveLength(asked + 1)
  })

  test('a system prompt, a model and a request are kept, too', async () => {
    await ada.browser.open(NEW)
    await endSessions(ada)
    const filled = { message: TEXT, system_prompt: 'Be brief', model: 'claude-haiku-4-5' }
    await ada.browser.submit(NEW, filled)
    expect(formAt(ada, NEW)?.fields).toEqual(
      expect.arrayContaining([
        ['message', TEXT],
        ['system_prompt', 'Be brief'],
        ['model', 'claude-haiku-4-5'],
        ['message_key', expect.any(String)],
      ]),
    )
    await signInBeside(ada)
    await ada.browser.open(REQUESTS)
    await endSessions(ada)
    const request = await ada.browser.submit(REQUESTS, { amount: '5', reason: TEXT })
    expectKept(request, 'reason')
    expect(formAt(ada, REQUESTS)?.fields).toContainEqual(['amount', '5'])
  })

  test('what another site, or no browser, sends is not put on a page', async () => {
    const fields = { message: TEXT }
    const of = (headers: Record<string, string>) => browserOf(app).post(NEW, fields, headers)
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: app.baseUrl, 'sec-fetch-site': 'same-site' },
      { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    ]) {
      const page = await of(headers)
      expect(page.url.pathname).toBe('/sign-in')
      expect(page.html).not.toContain('letter')
      const forged = await ada.browser.post(NEW, fields, headers)
      expect(forged.status).toBe(403)
      expect(forged.html).not.toContain('letter')
    }
  })

  test('more than is kept is not read', async () => {
    await ada.browser.open(NEW)
    await endSessions(ada)
    const page = await ada.browser.submit(NEW, { message: 'x'.repeat(300_000) })
    expect(page.url.pathname).toBe('/sign-in')
  })
})

test('a form of an earlier session is shown again, with a token of this one', async () => {
  await ada.browser.open(NEW)
  await endSessions(ada)
  await signInBeside(ada)
  const stale = await ada.browser.submit(NEW, { message: TEXT })
  expect(stale.status).toBe(403)
  expectKept(stale)
  expect((await ada.browser.submit(NEW)).status).toBe(200)
})

test('a message to a conversation that is gone meanwhile can be copied', async () => {
  const path = await begin(ada, 'Begin')
  await sql`delete from conversations where id = ${path.split('/').at(-1)}::uuid`.execute(
    app.app.db,
  )
  const gone = await ada.browser.submit(`${path}/messages`, { message: TEXT })
  expect(gone.status).toBe(404)
  expectKept(gone)
})

test('a message while Claude still answers is not lost, and the page stays', async () => {
  const path = await begin(ada, 'Begin')
  const second = ada.browser.clone()
  await second.open(path)
  app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
  await ada.browser.submit(`${path}/messages`, { message: 'Take your time' })
  const busy = await second.submit(`${path}/messages`, { message: TEXT })
  expect(busy.status).toBe(409)
  expectKept(busy)
  expect(busy.headers.get('refresh')).toBeNull()
  await second.submit(`${path}/stop`)
})

test('a message of a contributor who may only read meanwhile can be copied', async () => {
  const bob = await signUpToTalk(app)
  const path = await begin(ada, 'Ours')
  const conversationId = path.split('/').at(-1) ?? ''
  const caller = await browserSession(app, ada.userId)
  const give = (role: 'viewer' | 'contributor') =>
    app.app.services.sharing.share(caller, { conversationId, with: 'everybody', role })
  await give('contributor')
  await bob.browser.open(path)
  await give('viewer')
  const refused = await bob.browser.submit(`${path}/messages`, { message: TEXT })
  expect(refused.status).toBe(403)
  expectKept(refused)
})
