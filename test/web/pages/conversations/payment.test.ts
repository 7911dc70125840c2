/** Who pays for a conversation, decided on its page and on that of a team. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { browserSession } from '../../../support/signed-up.ts'
import { startApp, type TestApp } from '../../../support/start-app.ts'
import type { Visitor } from '../visiting.ts'
import { begin, signUpToTalk } from './talking.ts'

let app: TestApp
let ada: Visitor
let team: string
let name: string
beforeAll(async () => {
  app = await startApp({ kind: 'embedded' })
  ada = await signUpToTalk(app)
  name = 'The payers'
  await ada.browser.open('/account/teams')
  const made = await ada.browser.submit('/account/teams', { name })
  team = made.url.pathname.split('/').at(-1) ?? ''
  await ada.browser.open(`/account/teams/${team}/money`)
  const key = 'sk-ant-api03-the-key-of-the-payers-4711'
  await ada.browser.submit(`/account/teams/${team}/money/key`, { key })
})
afterAll(() => app.close())

test('by its owner: a team, and whether no other key may be used', async () => {
  const path = await begin(ada, 'Who pays for this?')
  await ada.browser.open(path)
  const saved = await ada.browser.submit(`${path}/payment`, { payer: team, payers: 'team_only' })
  expect(saved.text).toContain('Saved. It applies from the next message on.')
  expect(saved.text).toContain(`${name} (with no other key)`)
  await ada.browser.submit(`${path}/messages`, { message: 'and this?' })
  expect(app.claude.messageRequests().at(-1)?.key).toMatch(/4711$/)
  await ada.browser.open(path)
  const refused = await ada.browser.submit(`${path}/payment`, { payer: '', payers: 'team_only' })
  expect(refused.status).toBe(400)
  expect(refused.text).toContain('needs a team as payer')
  const back = await ada.browser.submit(`${path}/payment`, { payer: '', payers: 'any' })
  expect(back.text).not.toContain('with no other key')
})

test('by the team to which it belongs, if its owner has set that', async () => {
  await ada.browser.open(`/account/teams/${team}`)
  const set = await ada.browser.submit(`/account/teams/${team}/payment`, { payment: 'team' })
  expect(set.html).toMatch(/<option value="team" selected>/)
  const path = await begin(ada, 'And for this?')
  await ada.browser.open(path)
  const saved = await ada.browser.submit(`${path}/team`, { team })
  expect(saved.text).toContain(`Paid by ${name}`)
  const none = await ada.browser.submit(`${path}/team`, { team: 'nonsense' })
  expect(none.status).toBe(400)
})

test('with what others wrote shown as text, whatever is in it', async () => {
  const markup = `<img src=x onerror="alert(1)">'`
  const path = await begin(ada, `A title with ${markup}`)
  await ada.browser.open(path)
  await ada.browser.submit(`${path}/payment`, { payer: team, payers: 'any' })
  const { token } = await app.app.services.personalTokens.create(
    await browserSession(app, ada.userId),
    {
      name: `agent ${markup}`,
      scopes: ['messages:send'],
      expiresAt: new Date(Date.now() + 3_600_000),
      purses: [team],
    },
  )
  const client = await app.connect('modern', token)
  const sent = {
    message: markup,
    tag: markup,
    model: 'claude-sonnet-5-5',
    pay_with: `team:${team}`,
  }
  expect((await client.call('send_message', sent)).structured.data.status).toBe('complete')
  for (const page of [
    path,
    '/account/conversations',
    '/account/tokens',
    '/account/connections',
    '/account/usage?by=tag',
    `/account/teams/${team}`,
    `/account/teams/${team}/money`,
    `/account/teams/${team}/audit`,
  ]) {
    const { html, status } = await ada.browser.open(page)
    expect([page, status]).toEqual([page, 200])
    expect(html, page).not.toMatch(/<img src=x|onerror="/)
  }
  expect((await ada.browser.open('/account/tokens')).text).toContain('onerror')
})

test('of one message by who sends it, with the choices that pay_with has', async () => {
  const { browser } = ada
  const keyOfLast = () => app.claude.messageRequests().at(-1)?.key ?? ''
  const path = await begin(ada, 'Begun for a team', { pay_with: `team:${team}` })
  expect(keyOfLast()).toMatch(/4711$/)
  // Of one message only: the conversation has no payer.
  const open = await browser.open(path)
  expect(open.html).toMatch(/<option value="own" selected>Your own key<\/option>/)
  expect(open.html).toContain(`<option value="team:${team}">${name}</option>`)
  await browser.submit(`${path}/messages`, { message: 'mine', pay_with: 'own' })
  expect(keyOfLast()).not.toMatch(/4711$/)
  await browser.open(path)
  await browser.submit(`${path}/messages`, { message: 'ours', pay_with: `team:${team}` })
  expect(keyOfLast()).toMatch(/4711$/)

  await browser.open(path)
  const saved = await browser.submit(`${path}/payment`, { payer: team, payers: 'any' })
  expect(saved.html).toContain(`<option value="" selected>${name}, as this conversation says`)
  await browser.submit(`${path}/messages`, { message: 'as it says', pay_with: '' })
  expect(keyOfLast()).toMatch(/4711$/)
  await browser.open(path)
  await browser.submit(`${path}/messages`, { message: 'not as it says', pay_with: 'own' })
  expect(keyOfLast()).not.toMatch(/4711$/)

  const latest = (await browser.open(path)).html
  const edit = [...latest.matchAll(/href="([^"]+\/edit\/[^"]+)"/g)].at(-1)?.[1] ?? ''
  expect((await browser.open(edit)).html).toContain(`${name}, as this conversation says`)
  await browser.submit(edit, { message: 'in a copy', pay_with: 'own' })
  expect(keyOfLast()).not.toMatch(/4711$/)

  await browser.open(path)
  const only = await browser.submit(`${path}/payment`, { payer: team, payers: 'team_only' })
  expect(only.html).not.toContain('name="pay_with"')
})

test('of one message: refused in words for people, with what was typed and chosen', async () => {
  const { browser } = ada
  await browser.open('/account/teams')
  const made = await browser.submit('/account/teams', { name: 'Without a key' })
  const poor = made.url.pathname.split('/').at(-1) ?? ''
  const path = await begin(ada, 'Without a key')
  await browser.open(path)
  const form = { message: 'what I typed', pay_with: `team:${poor}` }
  const refused = await browser.submit(`${path}/messages`, form)
  expect(refused.status).toBe(400)
  expect(refused.text).toContain('The team Without a key has no Anthropic key.')
  expect(refused.html).toContain('what I typed')
  expect(refused.html).toMatch(new RegExp(`<option value="team:${poor}" selected>`))
  const odd = await browser.submit(`${path}/messages`, { message: 'hi', pay_with: 'team' })
  expect(odd.status).toBe(422)
  expect(odd.text).toContain('Choose one of what the form offers.')

  const caller = await browserSession(app, ada.userId)
  const nothing = { nanoUsd: 1n, tokens: null }
  await app.app.services.teamBudgets.setCap(caller, team, ada.username, 'month', nothing)
  await browser.open(path)
  const spent = await browser.submit(`${path}/messages`, { ...form, pay_with: `team:${team}` })
  expect(spent.status).toBe(402)
  expect(spent.text).toContain('can raise it until then: ask at /account/requests.')
  await app.app.services.teamBudgets.setCap(caller, team, ada.username, 'month', null)
})

test('of one message: nothing to choose for a visitor with one purse', async () => {
  const eve = await signUpToTalk(app)
  const path = await begin(eve, 'By myself')
  expect((await eve.browser.open(path)).html).not.toContain('name="pay_with"')
  expect((await eve.browser.open('/account/conversations/new')).html).not.toContain('pay_with')
  await eve.browser.open(path)
  const refused = await eve.browser.submit(`${path}/messages`, {
    message: 'With money of others',
    pay_with: `team:${team}`,
  })
  expect(refused.status).toBe(404)
})
