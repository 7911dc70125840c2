/** Every page there is, each in the states that look different. */

import type { Page, Response } from 'playwright-core'
import { CHOSEN_PASSWORD } from '../support/signed-up.ts'
import { askForAccess } from './people.ts'
import type { Site } from './site.ts'

export const VISITORS = ['stranger', 'newcomer', 'member', 'returner'] as const
export type Visitor = (typeof VISITORS)[number]

type Way = (page: Page, site: Site) => Promise<Response | null>

export type SitePage = {
  name: string
  visitor: Visitor
  status: number
  open: Way
}

/** Somebody whose name is taken. */
export const MEMBER = 'ada'
/** As long as a username may be. */
export const NEWCOMER = 'newcomer_'.repeat(8).slice(0, 64)
/** Somebody who gave their password a while ago. */
export const RETURNER = 'returner'
/** Where claude.ai lets its users be sent back to. */
export const CLAUDE = 'https://claude.ai/api/mcp/auth_callback'

const at =
  (path: string): Way =>
  (page, site) =>
    page.goto(`${site.url}${path}`)

/** What the server answers to a form, whatever the browser would have said of it. */
const sent =
  (path: string, fields: Record<string, string>, button: string): Way =>
  async (page, site) => {
    await page.goto(`${site.url}${path}`)
    const typed = page.locator('input:not([type=checkbox]), textarea')
    for (const [label, value] of Object.entries(fields))
      await page.getByLabel(label).and(typed).fill(value)
    const form = page.locator('form').filter({ has: page.getByRole('button', { name: button }) })
    await form.evaluate((element) => element.setAttribute('novalidate', ''))
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.request().method() === 'POST'),
      page.getByRole('button', { name: button }).click(),
    ])
    await page.waitForLoadState()
    return response
  }

/** What a client that has just registered shows its user. */
const asked =
  (name: string, redirectUri: string): Way =>
  async (page, site) =>
    page.goto(await askForAccess(site, { name, redirectUri }))

/** Of somebody without a key, about the longest names there may be. */
const askedAtLength: Way = async (page, site) => {
  const host = `${'a-very-long-name.'.repeat(6)}example`
  await asked('Client_of_the_long_name_'.repeat(6), `https://${host}/callback`)(page, site)
  await page.getByRole('link', { name: 'Skip for now' }).click()
  return page.reload()
}

const askedForPassword: Way = (page, site) =>
  sent('/account/tokens', { Name: 'Build server' }, 'Create token')(page, site)

const refusedPassword: Way = async (page, site) => {
  await askedForPassword(page, site)
  await page.getByLabel('Your password').fill('wrong')
  const [response] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === 'POST'),
    page.getByRole('button', { name: 'Go on' }).click(),
  ])
  await page.waitForLoadState()
  return response
}

/** @param part of its address, after that of its page. */
const newestConversation =
  (part = ''): Way =>
  async (page, site) => {
    await page.goto(`${site.url}/account/conversations`)
    const newest = page.locator('.rows a').first()
    const path = (await newest.getAttribute('href')) ?? ''
    return page.goto(new URL(`${path}${part}`, site.url).href)
  }

/** With all that can be done with it, and a title that cannot be. */
const refusedTitle: Way = async (page, site) => {
  await newestConversation()(page, site)
  await page.getByText('Rename, archive, copy or delete').click()
  await page.getByLabel('Title').fill(' ')
  const [response] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === 'POST'),
    page.getByRole('button', { name: 'Rename' }).click(),
  ])
  await page.waitForLoadState()
  return response
}

/** Sent by a visitor whose session is not there while they send it. */
const unsentMessage: Way = async (page, site) => {
  await page.goto(`${site.url}/account/conversations/new`)
  await page.getByLabel('Your message').fill('A letter that is not lost')
  const context = page.context()
  const cookies = await context.cookies()
  await context.clearCookies()
  const response = await pressed(page, 'Send')
  await context.addCookies(cookies)
  return response
}

const editedMessage: Way = async (page, site) => {
  await newestConversation()(page, site)
  const edit = page.getByRole('link', { name: 'Edit', exact: true })
  return page.goto(new URL((await edit.getAttribute('href')) ?? '', site.url).href)
}

const pressed = async (page: Page, button: string): Promise<Response> => {
  const [response] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === 'POST'),
    page.getByRole('button', { name: button, exact: true }).click(),
  ])
  await page.waitForLoadState()
  return response
}

/** @param path of a page that takes a conversation. */
const aboutNewest =
  (path: string): Way =>
  async (page, site) => {
    await newestConversation()(page, site)
    const id = new URL(page.url()).pathname.split('/').at(-1)
    return page.goto(`${site.url}${path}?conversation=${id}`)
  }

const madeLink: Way = async (page, site) => {
  await aboutNewest('/account/links')(page, site)
  return pressed(page, 'Make a link')
}

/** @param part of its address, after that of the link. */
const throughLink =
  (part = ''): Way =>
  async (page, site) => {
    await madeLink(page, site)
    return page.goto(`${await page.locator('#new-link').innerText()}${part}`)
  }

/** What the person sees who is invited into the team. */
const invited: Way = async (page, site) => {
  await page.goto(`${site.url}/account/teams`)
  await page.locator('.rows a').first().click()
  await page.getByRole('button', { name: 'Make the link' }).click()
  return page.goto(await page.locator('code.copy').innerText())
}

/** A page of the team. */
const ofTeam =
  (link: string): Way =>
  async (page, site) => {
    await page.goto(`${site.url}/account/teams`)
    await page.locator('.rows a').first().click()
    const address = await page.getByRole('link', { name: link }).first().getAttribute('href')
    return page.goto(`${site.url}${address}`)
  }

const REFUSED_SIGN_UP = { Username: MEMBER, Email: 'not an address', Password: 'short' }

export const PAGES: readonly SitePage[] = [
  { name: 'home', visitor: 'stranger', status: 200, open: at('/') },
  { name: 'mcp-address', visitor: 'stranger', status: 200, open: at('/mcp') },
  { name: 'sign-up', visitor: 'stranger', status: 200, open: at('/sign-up') },
  {
    name: 'sign-up-refused',
    visitor: 'stranger',
    status: 422,
    open: sent('/sign-up', REFUSED_SIGN_UP, 'Create account'),
  },
  { name: 'sign-in', visitor: 'stranger', status: 200, open: at('/sign-in') },
  {
    name: 'sign-in-refused',
    visitor: 'stranger',
    status: 422,
    open: sent('/sign-in', { Username: MEMBER, Password: 'wrong' }, 'Sign in'),
  },
  { name: 'not-found', visitor: 'stranger', status: 404, open: at('/no-such-page') },
  {
    name: 'oauth-error',
    visitor: 'stranger',
    status: 400,
    open: at('/oauth/authorize?client_id=nobody&response_type=code'),
  },
  { name: 'account-new', visitor: 'newcomer', status: 200, open: at('/account') },
  {
    name: 'key-first',
    visitor: 'newcomer',
    status: 200,
    open: at('/account/key?return_to=%2Faccount'),
  },
  {
    name: 'key-refused',
    visitor: 'newcomer',
    status: 400,
    open: sent('/account/key', { 'Anthropic API key': 'nonsense' }, 'Save key'),
  },
  { name: 'consent-at-length', visitor: 'newcomer', status: 200, open: askedAtLength },
  { name: 'consent', visitor: 'member', status: 200, open: asked('Claude', CLAUDE) },
  { name: 'account', visitor: 'member', status: 200, open: at('/account') },
  { name: 'key', visitor: 'member', status: 200, open: at('/account/key') },
  { name: 'wrong-link', visitor: 'member', status: 403, open: at('/account/key?link=used') },
  { name: 'connections', visitor: 'member', status: 200, open: at('/account/connections') },
  { name: 'tokens', visitor: 'member', status: 200, open: at('/account/tokens') },
  {
    name: 'new-token',
    visitor: 'member',
    status: 201,
    open: sent('/account/tokens', { Name: 'Build server' }, 'Create token'),
  },
  { name: 'proof', visitor: 'returner', status: 200, open: askedForPassword },
  { name: 'proof-refused', visitor: 'returner', status: 422, open: refusedPassword },
  { name: 'conversations', visitor: 'member', status: 200, open: at('/account/conversations') },
  {
    name: 'conversations-archived',
    visitor: 'newcomer',
    status: 200,
    open: at('/account/conversations?filter=archived'),
  },
  {
    name: 'search',
    visitor: 'member',
    status: 200,
    open: at('/account/conversations/search?query=waves'),
  },
  {
    name: 'search-refused',
    visitor: 'newcomer',
    status: 400,
    open: at('/account/conversations/search?query=""'),
  },
  { name: 'conversation', visitor: 'member', status: 200, open: newestConversation() },
  { name: 'title-refused', visitor: 'member', status: 422, open: refusedTitle },
  { name: 'message-edit', visitor: 'member', status: 200, open: editedMessage },
  {
    name: 'conversation-delete',
    visitor: 'member',
    status: 200,
    open: newestConversation('/delete'),
  },
  { name: 'shares', visitor: 'member', status: 200, open: at('/account/shares') },
  {
    name: 'share-new',
    visitor: 'member',
    status: 200,
    open: async (page, site) => {
      await newestConversation()(page, site)
      const share = page.getByRole('link', { name: 'Share', exact: true })
      return page.goto(new URL((await share.getAttribute('href')) ?? '', site.url).href)
    },
  },
  { name: 'links', visitor: 'member', status: 200, open: aboutNewest('/account/links') },
  { name: 'link-made', visitor: 'member', status: 201, open: madeLink },
  {
    name: 'link-public',
    visitor: 'member',
    status: 200,
    open: aboutNewest('/account/links/public'),
  },
  { name: 'link-opened', visitor: 'member', status: 200, open: throughLink() },
  { name: 'link-copied', visitor: 'member', status: 200, open: throughLink('/copy') },
  {
    name: 'link-of-nothing',
    visitor: 'stranger',
    status: 404,
    open: at(`/shared/share_${'a'.repeat(43)}`),
  },
  {
    name: 'team',
    visitor: 'member',
    status: 303,
    open: sent('/account/teams', { Name: 'Data Platform' }, 'Make'),
  },
  { name: 'teams', visitor: 'member', status: 200, open: at('/account/teams') },
  { name: 'team-join', visitor: 'member', status: 200, open: invited },
  { name: 'team-money', visitor: 'member', status: 200, open: ofTeam('Money') },
  { name: 'team-audit', visitor: 'member', status: 200, open: ofTeam('What was done') },
  { name: 'data', visitor: 'member', status: 200, open: at('/account/data') },
  { name: 'import', visitor: 'newcomer', status: 200, open: at('/account/import') },
  {
    name: 'conversation-new',
    visitor: 'newcomer',
    status: 200,
    open: at('/account/conversations/new'),
  },
  {
    name: 'conversation-refused',
    visitor: 'newcomer',
    status: 422,
    open: sent('/account/conversations/new', { 'Your message': ' ' }, 'Send'),
  },
  { name: 'unsent-message', visitor: 'member', status: 403, open: unsentMessage },
  { name: 'usage', visitor: 'member', status: 200, open: at('/account/usage') },
  {
    name: 'usage-by-day',
    visitor: 'member',
    status: 200,
    open: at('/account/usage?group=day'),
  },
  {
    name: 'usage-by-conversation',
    visitor: 'member',
    status: 200,
    open: at('/account/usage?group=conversation'),
  },
  { name: 'password', visitor: 'member', status: 200, open: at('/account/password') },
  {
    name: 'data-refused',
    visitor: 'member',
    status: 422,
    open: sent(
      '/account/data',
      { 'Type your username': 'somebody', Password: CHOSEN_PASSWORD },
      'Delete my account permanently',
    ),
  },
]
