/** Who looks at the pages, and what they have done before. */

import type { Page } from 'playwright-core'
import { createFlow } from '../support/oauth-flow.ts'
import { CHOSEN_PASSWORD } from '../support/signed-up.ts'
import type { Site } from './site.ts'

export const MEMBER_KEY = 'sk-ant-api03-of-a-member-4Kx9'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** Signs somebody up, and in: what the page's browser opens is theirs from then on. */
export async function enter({ app, url }: Site, page: Page, username: string) {
  const { accounts, sessions } = app.app.services
  const wanted = { username, email: `${username}@example.com`, password: CHOSEN_PASSWORD }
  const proof = await accounts.signUp(wanted)
  const value = await sessions.beginBrowserSession(proof, new Date(Date.now() + HOUR_MS))
  const flags = { secure: true, httpOnly: true, sameSite: 'Lax' as const }
  await page.context().addCookies([{ name: '__Host-session', value, url, ...flags }])
  const caller = await sessions.findBrowserSession(value)
  if (!caller) throw new Error('a session that was begun is not good')
  return caller
}

/** As if they had signed in some time ago. */
export const forgetProof = ({ app }: Site, { sessionId }: { sessionId: string }) =>
  app.app.db.updateTable('sessions').set({ provenAt: null }).where('id', '=', sessionId).execute()

type Member = Awaited<ReturnType<typeof enter>>
export type App = { name: string; redirectUri: string; limit?: string; scope?: string }

/** Gives somebody a key, a limit, a token, messages sent to two models, and connected apps. */
export async function settle(
  site: Site,
  page: Page,
  member: Member,
  apps: readonly App[],
): Promise<void> {
  const { accounts, budgetSettings, personalTokens } = site.app.app.services
  await accounts.replaceKey(member, MEMBER_KEY)
  await budgetSettings.set(member, undefined, 'month', { nanoUsd: 25_000_000_000n, tokens: null })
  const { token } = await personalTokens.create(member, {
    name: 'nightly_report_for_the_finance_team_of_the_northern_region',
    scopes: ['messages:send', 'usage:read'],
    expiresAt: new Date(Date.now() + 90 * DAY_MS),
  })
  for (const model of ['claude-opus-4-8', 'claude-haiku-4-5']) await send(site, token, model)
  for (const app of apps) await connect(site, page, app)
}

/** A conversation with much of what Claude may write. */
export async function talk(site: Site, member: Member, answer: string): Promise<void> {
  site.app.claude.setReply(() => answer)
  const { signal } = new AbortController()
  const input = { message: 'Explain ||: <b>this</b>\nin a table', thinking: 'off' as const }
  await site.app.app.services.messages.send(
    member,
    { ...input, systemPrompt: 'Be brief.' },
    { waitSeconds: 30, signal },
  )
}

async function send(site: Site, token: string, model: string): Promise<void> {
  const call = { name: 'claude-api-gateway_send_message', arguments: { message: 'Hello', model } }
  const response = await site.fetch(site.app.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: call }),
  })
  const text = await response.text()
  if (!response.ok || text.includes('"isError":true')) throw new Error(text)
}

/** Through the consent page. Nobody listens where it leads: the browser stays here. */
async function connect(site: Site, page: Page, app: App): Promise<void> {
  const { origin } = new URL(app.redirectUri)
  await page.route(`${origin}/**`, (route) => route.fulfill({ body: 'Connected' }))
  await page.goto(await askForAccess(site, app))
  await page.getByLabel('Monthly limit in USD').fill(app.limit ?? '')
  await page.getByLabel('I have just started this connection myself').check()
  await page.getByRole('button', { name: 'Approve' }).click()
  await page.waitForURL(`${origin}/**`)
}

/** @returns where a newly registered client sends its user. */
export async function askForAccess(site: Site, { name, redirectUri, scope }: App): Promise<string> {
  const registered = await site.fetch(`${site.app.baseUrl}/oauth/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: name,
      redirect_uris: [redirectUri],
      token_endpoint_auth_method: 'none',
    }),
  })
  const { client_id: clientId } = (await registered.json()) as { client_id: string }
  return createFlow(site.url).authorization(clientId, { redirectUri, scope }).url.href
}
