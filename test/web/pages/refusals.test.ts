/** What a person reads on a page where a service refuses, and what the caller of a tool is told. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { browserSession, personalToken } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { begin, signUpToTalk } from './conversations/talking.ts'
import { csrfTokenIn, signUp, type Visitor } from './visiting.ts'

const OWN = 'https://gateway.example'
const LIST = '/account/conversations'

let app: TestApp
let boss: Visitor
let ada: Visitor
beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { PUBLIC_URL: OWN } })
  boss = await signUp(app)
  await app.app.services.userAdministration.setRole('operator', boss.username, 'admin')
})
beforeEach(async () => {
  app.claude.reset()
  ada = await signUpToTalk(app)
})
afterAll(() => app.close())

const idOf = (path: string) => path.split('/').at(-1) ?? ''
const sessionOf = ({ userId }: Visitor) => browserSession(app, userId)

/** The error of a call by the visitor's own token. */
async function toldByTool(visitor: Visitor, tool: string, args: Record<string, unknown>) {
  const { token } = await personalToken(app, await sessionOf(visitor))
  const client = await app.connect('modern', token)
  return (await client.call(tool, args)).structured.error
}

/** Sends fields that the open page has no form for. */
const post = ({ browser }: Visitor, path: string, fields: Record<string, string>) =>
  browser.post(path, { csrf_token: csrfTokenIn(browser.page.html), ...fields }, { origin: OWN })

async function teamOf({ browser }: Visitor, name: string): Promise<string> {
  await browser.open('/account/teams')
  const made = await browser.submit('/account/teams', { name })
  const id = idOf(made.url.pathname)
  await browser.open(`/account/teams/${id}/money`)
  await browser.submit(`/account/teams/${id}/money/key`, { key: 'sk-ant-api03-of-a-team' })
  return id
}

test('a message while Claude still answers', async () => {
  app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
  const path = await begin(ada, 'Take your time')
  const refused = await post(ada, `${path}/messages`, { message: 'And this?' })
  expect(refused.status).toBe(409)
  expect(refused.text).toContain('or stop it on the page of the conversation.')
  expect(refused.text).not.toContain('cancel_message')
  expect(refused.html).toContain('Stop Claude')
  const args = { message: 'And this?', conversation_id: idOf(path) }
  expect(await toldByTool(ada, 'send_message', args)).toEqual({
    code: 'conversation_busy',
    message: expect.stringMatching(/Send again when .* or stop it with \S*cancel_message\.$/),
    retryable: true,
    retry_after_seconds: 2,
  })
  await ada.browser.open(path)
  await ada.browser.submit(`${path}/stop`)
})

test('a message for which a team was to pay that is archived', async () => {
  const team = await teamOf(ada, 'The gone')
  const path = await begin(ada, 'Who pays?')
  await ada.browser.submit(`${path}/payment`, { payer: team, payers: 'any' })
  await app.app.services.teams.archive(await sessionOf(ada), team)
  await ada.browser.open(path)
  const refused = await ada.browser.submit(`${path}/messages`, { message: 'And now?' })
  expect(refused.status).toBe(403)
  expect(refused.text).toContain('Choose your own key, or another payer for the conversation.')
  expect(refused.text).not.toMatch(/pay_with|update_conversation/)
  const args = { message: 'And now?', conversation_id: idOf(path) }
  const { message, details } = await toldByTool(ada, 'send_message', args)
  expect(message).toMatch(/Send with pay_with: "own", or choose .* with \S*update_conversation\.$/)
  expect(details).toEqual({ field: 'pay_with', choices: ['own'] })
  const paid = await ada.browser.submit(`${path}/messages`, { message: 'Mine', pay_with: 'own' })
  expect(paid.status).toBe(200)
})

test('a message with another payer where one team alone pays', async () => {
  const team = await teamOf(ada, 'The only')
  const path = await begin(ada, 'Who pays?')
  await ada.browser.submit(`${path}/payment`, { payer: team, payers: 'team_only' })
  const fields = { message: 'With my own key', pay_with: 'own' }
  const refused = await post(ada, `${path}/messages`, fields)
  expect(refused.status).toBe(403)
  expect(refused.text).toContain('Send it again, and the team pays.')
  expect(refused.text).not.toContain('pay_with')
})

test('a message that does not fit into a budget that an admin can raise', async () => {
  const path = await begin(ada, 'What is left?')
  const nothing = { nanoUsd: 1n, tokens: null }
  const { budgetSettings } = app.app.services
  await budgetSettings.set(await sessionOf(boss), ada.username, 'day', nothing, 'own_key')
  const refused = await ada.browser.submit(`${path}/messages`, { message: 'And now?' })
  expect(refused.status).toBe(402)
  expect(refused.text).toContain(
    `${boss.username} can raise it until then: ask at /account/requests.`,
  )
  expect(refused.text).not.toContain('request_budget')
  expect(refused.html).toContain('And now?</textarea>')
  const { message, details } = await toldByTool(ada, 'send_message', { message: 'And now?' })
  expect(message).toMatch(/can raise it until then: ask with \S*request_budget\.$/)
  expect(details.ask).toEqual([boss.username])
  expect(details.raise_with).toMatch(/request_budget$/)
})

test('a request where there is nothing to raise, or less than there is', async () => {
  const ask = async (amount: string) => {
    await ada.browser.open('/account/requests')
    return ada.browser.submit('/account/requests', { team: '', amount, reason: 'why' })
  }
  expect((await ask('5')).text).toContain(
    'so there is nothing to raise. /account/usage shows what applies.',
  )
  const one = { nanoUsd: 1_000_000_000n, tokens: null }
  const { budgetSettings } = app.app.services
  await budgetSettings.set(await sessionOf(boss), ada.username, 'day', one, 'own_key')
  expect((await ask('0.50')).text).toContain('The new limit must be more than the limit for this')
})

test('a link, and a share, of which there are as many as may be', async () => {
  const path = await begin(ada, 'Shown to many')
  const id = idOf(path)
  await sql`insert into conversation_links (id, token_hash, conversation_id, audience, through_position, created_by, expires_at)
    select gen_random_uuid(), sha256(n::text::bytea || ${id}::text::bytea), ${id}::uuid, 'everybody', 2, ${ada.userId}::uuid, now() + interval '1 day'
    from generate_series(1, 50) as n`.execute(app.app.db)
  await ada.browser.open(`/account/shares?conversation=${id}`)
  const refused = await ada.browser.submit('/account/links', { ends_after: '', note: '' })
  expect(refused.status).toBe(409)
  expect(refused.text).toContain(
    'This conversation has 50 links, the most there may be. End one at /account/links first.',
  )
  const wanted = { conversation_id: id, with: { link: 'signed-in' }, role: 'viewer' }
  const { message } = await toldByTool(ada, 'share_conversation', wanted)
  expect(message).toMatch(/End one with \S*revoke_share first\.$/)
  await ada.browser.open(`/account/shares?conversation=${id}`)
  const self = await ada.browser.submit('/account/shares', { with: ada.username })
  expect(self.text).toContain('You cannot share a conversation with yourself.')
})

test('what is not there', async () => {
  const path = await begin(ada, 'Mine')
  const unknown = crypto.randomUUID()
  const pages: Record<string, [status: number, words: string]> = {
    [`${LIST}/${unknown}`]: [
      404,
      `You have no conversation with this address. Yours are at ${LIST}.`,
    ],
    [`${LIST}/nonsense`]: [
      404,
      `You have no conversation with this address. Yours are at ${LIST}.`,
    ],
    [`${path}?before=${unknown}`]: [404, 'This conversation has no message with this address.'],
    [`${path}/edit/${unknown}`]: [404, 'This conversation has no message with this address.'],
    [`${LIST}?cursor=x`]: [400, `This address leads to no page of the list. It begins at ${LIST}.`],
    [`${LIST}/search?query=mine&cursor=x`]: [400, 'no page of what was found. Search again.'],
    // Where a form is sent to, opened as a page.
    [`${path}/rename`]: [404, 'There is no page at this address. Begin at /account.'],
    [`/account/teams/${unknown}`]: [404, 'You are in no such team. Yours are at /account/teams.'],
  }
  for (const [address, [status, words]] of Object.entries(pages)) {
    const page = await ada.browser.open(address)
    expect([address, page.status]).toEqual([address, status])
    expect(page.text, address).toContain(words)
    expect(page.text, address).not.toMatch(/get_|next_cursor|with this id/)
  }
  await ada.browser.open(path)
  const share = await post(ada, `/account/shares/${unknown}/end`, {})
  expect(share.text).toContain('Yours are at /account/shares and /account/links.')
  await ada.browser.open(path)
  const payer = { message: 'With theirs', pay_with: `team:${unknown}` }
  const refused = await post(ada, `${path}/messages`, payer)
  expect(refused.status).toBe(404)
  expect(refused.text).toContain('You are in no such team.')
})

test('a message without a key, with one that is refused, and one that Anthropic does not take', async () => {
  const newcomer = await signUp(app)
  const sendNew = async ({ browser }: Visitor) => {
    await browser.open(`${LIST}/new`)
    return browser.submit(`${LIST}/new`, { message: 'Keep this' })
  }
  expect((await sendNew(newcomer)).text).toContain('Enter one at /account/key, then try again.')
  app.claude.script({ kind: 'status', status: 400, message: 'messages: something is <b>odd</b>' })
  const odd = await sendNew(ada)
  expect(odd.text).toContain('as invalid. It says: messages: something is <b>odd</b>')
  expect(odd.html).not.toContain('<b>odd')
  app.claude.script({ kind: 'status', status: 401, type: 'authentication_error' })
  const refused = await sendNew(ada)
  expect(refused.text).toContain('and enter it at /account/key, or a team’s on its page.')
  expect(refused.text).not.toContain('update_api_key')
})

test('a form that was sent before, with other words', async () => {
  const path = await begin(ada, 'Begin')
  const form = ada.browser.forms().find(({ action }) => action === `${path}/messages`)
  const message_key = form?.fields.find(([name]) => name === 'message_key')?.[1] ?? ''
  await post(ada, `${path}/messages`, { message: 'Once', message_key })
  const refused = await post(ada, `${path}/messages`, { message: 'Twice', message_key })
  expect(refused.status).toBe(409)
  expect(refused.text).toContain('This form was sent before, with other words or choices.')
  expect(refused.text).not.toContain('idempotency_key')
})
