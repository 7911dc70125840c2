/** From a visitor to a user whose client works, and back, in a real browser and over https. */

import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, observe, openChromium } from '../support/chromium.ts'
import { PATIENCE } from '../support/patience.ts'
import { CHOSEN_PASSWORD } from '../support/signed-up.ts'
import { type Connector, openConnector } from './connector.ts'
import { inspect, NOTE_VIOLATIONS } from './inspection.ts'
import { LONG_ANSWER } from './long-answer.ts'
import { CLAUDE, MEMBER, NEWCOMER, PAGES, RETURNER, VISITORS, type Visitor } from './pages.ts'
import { askForAccess, enter, forgetProof, MEMBER_KEY, settle, talk } from './people.ts'
import { makeReadmeImages } from './readme-images.ts'
import { openSite, type Site } from './site.ts'

const SCREENSHOTS = fileURLToPath(new URL('../output/screenshots/', import.meta.url))
const CLAUDE_APP = { name: 'Claude', redirectUri: CLAUDE, limit: '20' }
const APPS = [CLAUDE_APP, { name: 'Visual Studio Code', redirectUri: 'http://127.0.0.1:33418/' }]
const PASSWORD = 'correct horse battery staple'

describe.runIf(hasChromium)('in a browser', () => {
  let site: Site
  let browser: Browser

  beforeAll(async () => {
    const opened = await Promise.all([openSite({ LINKS: 'public' }), openChromium()])
    site = opened[0]
    browser = opened[1]
  })
  afterAll(async () => {
    await browser?.close()
    await site?.close()
  })

  describe('without JavaScript', () => {
    const username = 'grace'
    const apiKey = 'sk-ant-api03-of-grace'
    const clientName = 'A desktop client'
    let context: BrowserContext
    let page: Page
    let observed: ReturnType<typeof observe>
    let connector: Connector

    beforeAll(async () => {
      site.app.claude.setValidKeys([apiKey])
      context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true })
      page = await context.newPage()
      page.setDefaultTimeout(PATIENCE.timeout)
      observed = observe(page)
      connector = await openConnector(site, clientName)
    })
    afterAll(async () => {
      await connector?.close()
      await context?.close()
    })

    const send = (message: string) => connector.call('send_message', { message })
    const heading = () => page.getByRole('heading', { level: 1 }).innerText()
    const press = (name: string) => page.getByRole('button', { name, exact: true }).click()

    test('a client without a token sends its user to sign up', async () => {
      expect(connector.answers).toContain('POST /mcp 401')
      await page.goto(String(connector.credentials.authorizationUrl))
      expect(await heading()).toBe('Sign in')
      await page.getByRole('link', { name: 'Create an account' }).click()
      await page.getByLabel('Username').fill(username)
      await page.getByLabel('Email').fill(`${username}@example.com`)
      await page.getByLabel('Password').fill(PASSWORD)
      await press('Create account')
      expect(await heading()).toBe('Add your Anthropic key')
    })

    test('the cookies are bound to this host, to https and to the server', async () => {
      const cookies = await context.cookies()
      expect(cookies.map(({ name }) => name)).toContain('__Host-session')
      for (const { name, secure, httpOnly, sameSite, path } of cookies) {
        expect({ name, secure, httpOnly, sameSite, path }).toEqual({
          name: expect.stringMatching(/^__Host-/),
          secure: true,
          httpOnly: true,
          sameSite: 'Lax',
          path: '/',
        })
      }
    })

    test('a key that Anthropic refuses is refused, a good one leads on', async () => {
      const field = page.getByLabel('Anthropic API key')
      await field.fill('sk-ant-api03-of-nobody')
      await press('Save key')
      expect(await page.getByRole('alert').innerText()).toMatch(/key/i)
      expect(await field.inputValue()).toBe('')
      await field.fill(apiKey)
      await press('Save key')
      expect(await heading()).toBe(`Connect ${clientName}?`)
    })

    test('the consent page says where it leads, and approving leads there', async () => {
      const { host } = new URL(connector.listenerOrigin)
      expect(await page.locator('main').innerText()).toContain(host)
      await page.getByLabel('Connection ends after').selectOption('7 days')
      await page.getByLabel('Monthly limit in USD').fill('12.50')
      await press('Approve')
      expect(await page.getByRole('alert').innerText()).toContain('Tick the box')
      await page.getByLabel('I have just started this connection myself').check()
      await press('Approve')
      await connector.finish()
      expect(await page.title()).toBe('Connected')
    })

    test('the client sends a message, with the key of its user', async () => {
      const { isError, content } = await send('Hello from the browser test')
      expect(isError ?? false, JSON.stringify(content)).toBe(false)
      const asked = site.app.claude.messageRequests().filter(({ key }) => key === apiKey)
      expect(asked.at(-1)?.body).toContain('Hello from the browser test')
    })

    test('ended on the account page, the next call of the client fails', async () => {
      await page.goto(`${site.url}/account`)
      await page.getByRole('link', { name: 'Connections', exact: true }).click()
      const row = page.getByRole('listitem').filter({ hasText: clientName })
      expect(await row.innerText()).toContain('of $12.50 this month')
      await row.getByRole('button').click()
      expect(await page.getByRole('status').innerText()).toBe('Ended.')
      expect(await page.locator('main').innerText()).not.toContain(clientName)
      const before = connector.answers.length
      await expect(send('Too late')).rejects.toThrow()
      const after = connector.answers.slice(before)
      expect(after[0]).toBe('POST /mcp 401')
      expect(after).toContain('POST /oauth/token 400')
      expect(after).not.toContain('POST /mcp 200')
    })

    test('signed out, the account is closed', async () => {
      await press('Sign out')
      await page.goto(`${site.url}/account`)
      expect(await heading()).toBe('Sign in')
    })

    test('nothing went wrong unseen, and nothing was asked of anybody else', () => {
      const expected = [/status of 4\d\d/]
      const errors = observed.errors.filter((text) => !expected.some((known) => known.test(text)))
      expect(errors).toEqual([])
      expect([...observed.origins].sort()).toEqual([connector.listenerOrigin, site.url].sort())
    })
  })
  describe('the pages', () => {
    const seats = {} as Record<Visitor, Seat>

    beforeAll(async () => {
      site.app.claude.setValidKeys([MEMBER_KEY])
      for (const visitor of VISITORS) seats[visitor] = await openSeat(browser)
      await enter(site, seats.newcomer.page, NEWCOMER)
      const member = await enter(site, seats.member.page, MEMBER)
      await settle(site, seats.member.page, member, APPS)
      await talk(site, member, LONG_ANSWER)
      await forgetProof(site, await enter(site, seats.returner.page, RETURNER))
    })

    test.each(PAGES)('$name', async ({ name, visitor, status, open }) => {
      const { page, observed } = seats[visitor]
      observed.forget()
      const response = await open(page, site)
      expect(response?.status()).toBe(status)
      expect(await inspect(page, `${SCREENSHOTS}${name}`)).toEqual([])
      expect(observed.errors.filter((text) => !text.includes(`status of ${status}`))).toEqual([])
      expect([...observed.origins]).toEqual([site.url])
    })

    test('where the password is asked for again, the way to the client goes on', async () => {
      const { page } = seats.returner
      await page.route('https://claude.ai/**', (route) => route.fulfill({ body: 'Connected' }))
      await page.goto(await askForAccess(site, { ...CLAUDE_APP, scope: 'usage:read account' }))
      await page.getByRole('link', { name: 'Skip for now' }).click()
      await page.getByLabel('See and change your account').check()
      await page.getByLabel('I have just started this connection myself').check()
      await page.getByRole('button', { name: 'Approve' }).click()
      await page.getByLabel('Your password').fill('wrong')
      await page.getByRole('button', { name: 'Go on' }).click()
      await page.getByLabel('Your password').fill(CHOSEN_PASSWORD)
      await page.getByRole('button', { name: 'Go on' }).click()
      await page.waitForURL('https://claude.ai/**')
    })
  })
})

// README_IMAGES=true npx vitest run --config test/vitest.config.ts test/browser -t README
if (process.env.README_IMAGES === 'true') {
  test('the pictures of README.md are small', async () => {
    for (const bytes of Object.values(await makeReadmeImages())) expect(bytes).toBeLessThan(80_000)
  })
}

/** Somebody's own browser. */
async function openSeat(browser: Browser) {
  const page = await browser.newPage({ ignoreHTTPSErrors: true })
  page.setDefaultTimeout(PATIENCE.timeout)
  await page.addInitScript(NOTE_VIOLATIONS)
  return { page, observed: observe(page) }
}
type Seat = Awaited<ReturnType<typeof openSeat>>
