/** From an act by tool or page to the body at a real receiver: of acts that people elsewhere answer. */

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { WebhookOwner } from '../../../src/services/webhooks/webhooks.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { PATIENCE } from '../../support/patience.ts'
import { browserSession } from '../../support/signed-up.ts'
import { newTeam } from '../../support/teams.ts'
import { signUp } from '../../web/pages/visiting.ts'
import { type Delivering, type Got, startDelivering } from './delivering.ts'
import { verifiedBody } from './verified-body.ts'

const CANARY = 'a-secret-reason'
const GOOGLEBOT = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'

describeDatabases('an act that is told elsewhere', (kind) => {
  let { app, admin, receiverUrl, got, close } = {} as Delivering

  beforeAll(async () => {
    ;({ app, admin, receiverUrl, got, close } = await startDelivering(kind, { LINKS: 'public' }))
  })
  // The certificate is for another test; the environment is as before after each.
  beforeEach(() => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    got.length = 0
  })
  afterAll(() => close())

  const listen = (owner: WebhookOwner, path: string, event: string) =>
    app.app.services.webhooks.create(owner, { url: `${receiverUrl}${path}`, events: [event] })
  const arrived = async (paths: string[]) => {
    await expect.poll(() => got.map(({ path }) => path).sort(), PATIENCE).toEqual(paths)
    expect(got.map(({ body }) => body).join()).not.toContain(CANARY)
  }

  test('a request for more budget: to the team’s program, and to that of the installation', async () => {
    const [ada, bob] = [await app.register(), await app.register()]
    const team = await newTeam(app, [ada, bob])
    const owner = await browserSession(app, ada.userId)
    const { teamBudgets } = app.app.services
    const limit = { nanoUsd: 10_000_000n, tokens: null }
    await teamBudgets.setCap(owner, team.id, bob.username, 'month', limit)
    const ofTeam = await listen(
      { of: 'team', actor: owner, team: team.id },
      '/team',
      'budget.requested',
    )
    const ofAll = await listen({ of: 'installation', actor: admin }, '/all', 'budget.requested')

    const client = await app.connect('modern', bob.accessToken)
    const wanted = { team: team.name, limit_usd: 5, reason: CANARY }
    const asked = await client.call('request_budget', wanted)
    expect(asked.isError, asked.text).toBe(false)

    await arrived(['/all', '/team'])
    for (const one of got) {
      const { secret } = one.path === '/all' ? ofAll : ofTeam
      expect(verifiedBody(one, secret)).toMatchObject({
        type: 'budget.requested',
        data: {
          team: { id: team.id, name: team.name },
          user_id: bob.userId,
          request_id: asked.structured.data.request_id,
          budget: 'member',
          period: 'month',
          wanted_usd: 5,
        },
      })
    }
  })

  test('a public link that a crawler opened: once, and no visit of people', async () => {
    const ada = await signUp(app)
    const conversation = await keepConversation(app, ada.userId, [CANARY], 'an answer')
    await ada.browser.open(`/account/links/public?conversation=${conversation}`)
    const made = await ada.browser.submit('/account/links/public', { note: CANARY })
    const path = /\/shared\/share_[\w-]+/.exec(made.html)?.[0] ?? 'none'
    const { secret } = await listen({ of: 'installation', actor: admin }, '/all', 'link.crawled')

    const visit = (agent: string) =>
      fetch(`${app.baseUrl}${path}`, { headers: { 'user-agent': agent } })
    expect((await visit('Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0')).status).toBe(200)
    expect((await visit(GOOGLEBOT)).status).toBe(200)
    expect((await visit(GOOGLEBOT)).status).toBe(200)

    await arrived(['/all'])
    const link = await app.app.db
      .selectFrom('conversationLinks')
      .select('id')
      .where('conversationId', '=', conversation)
      .executeTakeFirstOrThrow()
    const body = verifiedBody(got[0] as Got, secret)
    expect(body).toMatchObject({
      type: 'link.crawled',
      data: { link_id: link.id, conversation_id: conversation, crawler: 'google' },
    })
    expect(JSON.stringify(body)).not.toContain(path.split('/').at(-1))
  })
})
