/** Conversations are shared, accepted and left in a browser. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../../src/crypto/random.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import { begin, signUpToTalk } from '../conversations/talking.ts'
import { csrfTokenIn, signUp, type Visitor } from '../visiting.ts'

const OWN = 'https://gateway.example'

let app: TestApp
let ada: Visitor
let bob: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: 'https://gateway.example' } })
  ada = await signUpToTalk(app)
  bob = await signUp(app)
})
afterAll(() => app.close())

const idOf = (path: string) => path.split('/').at(-1) ?? ''
const shareIdIn = (html: string) =>
  /shares\/([0-9a-f-]{36})\/(?:accept|transfer|end)/.exec(html)?.[1] ?? ''

const offer = async (path: string, filled: Record<string, string> = {}) => {
  await ada.browser.open(`/account/shares?conversation=${idOf(path)}`)
  return ada.browser.submit('/account/shares', { with: bob.username, ...filled })
}

test('an offer is accepted, read, and left', async () => {
  const path = await begin(ada, 'What is between us')
  const shared = await offer(path)
  expect(shared.text).toContain('Shared.')
  expect(shared.text).toContain('pending')
  expect((await bob.browser.open(path)).status).toBe(404)
  const offered = await bob.browser.open('/account/shares')
  expect(offered.text).toContain(`From ${ada.username}`)
  expect(offered.text).not.toContain('What is between us')
  const read = await bob.browser.submit(`/account/shares/${shareIdIn(offered.html)}/accept`)
  expect(read.url.pathname).toBe(path)
  expect(read.text).toContain('What is between us')
  // The message is not his.
  expect(read.html).toContain(`<bdi>${ada.username}</bdi>`)
  const listed = '/account/conversations?filter=shared'
  expect((await bob.browser.open(listed)).html).toContain(`"${path}"`)
  await bob.browser.open('/account/shares')
  const hidden = await bob.browser.submit(`${path}/hide`)
  expect(hidden.text).toContain('Hidden.')
  expect((await bob.browser.open(listed)).html).not.toContain(`"${path}"`)
  expect((await bob.browser.open(path)).text).toContain('shared hidden')
  await bob.browser.submit(`${path}/hide`)
  expect((await bob.browser.open(path)).text).not.toContain('shared hidden')
  expect((await bob.browser.open(listed)).html).toContain(`"${path}"`)
  const list = await bob.browser.open('/account/shares')
  const left = await bob.browser.submit(`/account/shares/${shareIdIn(list.html)}/end`)
  expect(left.text).toContain('Ended.')
  expect((await bob.browser.open(path)).status).toBe(404)
})

test('another share with the same person says what it replaces', async () => {
  const path = await begin(ada, 'Given twice')
  await offer(path, { role: 'contributor' })
  expect((await offer(path, { role: 'contributor' })).text).not.toContain('in place of')
  const again = await offer(path, { role: 'viewer', days: '1' })
  expect(again.status).toBe(200)
  expect(again.text).toContain(
    'Before: reads and sends messages, without an end. Now: reads, until ',
  )
  expect((await offer(path, { role: 'viewer' })).text).toMatch(
    /Before: reads, until \d+ \w+ \d{4} *\. Now: reads, without an end\./,
  )
})

test('an owner makes a contributor the owner, and stays a contributor', async () => {
  const path = await begin(ada, 'Yours from now on')
  await offer(path, { role: 'contributor' })
  const own = `/account/shares?conversation=${idOf(path)}`
  expect((await ada.browser.open(own)).html).not.toContain('/transfer')
  const shareId = shareIdIn((await bob.browser.open('/account/shares')).html)
  await bob.browser.submit(`/account/shares/${shareId}/accept`)
  const offered = await ada.browser.open(own)
  expect(offered.text).toContain(`${bob.username} decides about this conversation`)
  const given = await ada.browser.submit(`/account/shares/${shareId}/transfer`)
  expect(given.text).toContain('It has a new owner now.')
  expect((await ada.browser.open(path)).html).not.toContain(`${path}/delete`)
  expect((await bob.browser.open(path)).html).toContain(`${path}/delete`)
  const back = shareIdIn((await bob.browser.open(own)).html)
  expect(back).not.toBe(shareId)
  await bob.browser.submit(`/account/shares/${back}/transfer`)
  expect((await ada.browser.open(path)).html).toContain(`${path}/delete`)
})

test('a mistake is shown beside its field, and shares nothing', async () => {
  const path = await begin(ada, 'Nobody else')
  const unknown = await offer(path, { with: 'nobody-at-all' })
  expect(unknown.status).toBe(422)
  expect(unknown.text).toContain('No person and no team of this name accepts shares')
  for (const days of ['soon', '1.5', '0', '3651']) {
    const refused = await offer(path, { days })
    expect(refused.status).toBe(422)
    expect(refused.text).toContain('Enter a whole number of days, from 1 to 3650, or nothing.')
  }
  const own = await offer(path, { with: ada.username })
  expect(own.status).toBe(400)
  expect(own.text).toContain('You cannot share a conversation with yourself.')
  expect((await ada.browser.open(`/account/shares?conversation=${idOf(path)}`)).text).toMatch(
    /You share\s*None\./,
  )
})

test('a team that was left since is a mistake in the form, not a missing page', async () => {
  const path = await begin(ada, 'Of no team')
  const shared = await offer(path, { with: '', team: newId() })
  await ada.browser.open(`/account/links?conversation=${idOf(path)}`)
  const linked = await ada.browser.submit('/account/links', { link_team: newId(), note: 'Kept' })
  for (const page of [shared, linked]) {
    expect(page.status).toBe(422)
    expect(page.text).toContain('You are not in this team any more, or it is archived.')
  }
  expect(linked.html).toContain('value="Kept"')
  const late = await ada.browser.submit('/account/links', { ends_after: '366' })
  expect(late.text).toContain('Enter a whole number of days, from 1 to 365, or nothing.')
})

test("another's share is not accepted, and another's conversation not shared", async () => {
  const path = await begin(ada, 'Only for Bob')
  const eve = await signUp(app)
  await offer(path)
  const id = shareIdIn((await bob.browser.open('/account/shares')).html)
  await eve.browser.open('/account/shares')
  const csrf = csrfTokenIn(eve.browser.page.html)
  for (const act of ['accept', 'transfer', 'end']) {
    const address = `/account/shares/${id}/${act}`
    expect((await eve.browser.post(address, { csrf_token: csrf }, { origin: OWN })).status).toBe(
      404,
    )
  }
  const own = await eve.browser.post(
    '/account/shares',
    {
      csrf_token: csrf,
      conversation: idOf(path),
      with: 'everybody',
      role: 'viewer',
      days: '',
    },
    { origin: OWN },
  )
  expect(own.status).toBe(404)
  expect((await eve.browser.open(path)).status).toBe(404)
})

test('a share with everybody is not ended by a reader, who is shown how to hide it', async () => {
  const path = await begin(ada, 'For all of you')
  const shared = await offer(path, { with: 'everybody' })
  await bob.browser.open('/account/shares')
  const fields = { csrf_token: csrfTokenIn(bob.browser.page.html) }
  const end = `/account/shares/${shareIdIn(shared.html)}/end`
  const refused = await bob.browser.post(end, fields, { origin: OWN })
  expect(refused.status).toBe(403)
  expect(refused.text).toContain(`hide it at ${path}.`)
  expect((await bob.browser.open(path)).html).toContain(`${path}/hide`)
})

test('who accepts nothing is offered nothing', async () => {
  const path = await begin(ada, 'An offer')
  const cyd = await signUp(app)
  await cyd.browser.open('/account/shares')
  await cyd.browser.submit('/account/shares/from', { shares_from: 'nobody' })
  expect(await offer(path, { with: cyd.username })).toMatchObject({ status: 422 })
})

test('with SHARING=off there is no page, and no way to it', async () => {
  const off = await startApp({
    kind: 'embedded',
    env: { PUBLIC_URL: 'https://gateway.example', SHARING: 'off' },
  })
  const visitor = await signUp(off)
  expect((await visitor.browser.open('/account/conversations')).html).not.toContain('shares')
  expect((await visitor.browser.open('/account/shares')).status).toBe(404)
  await off.close()
})
