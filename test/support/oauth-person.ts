/** A person in a browser, whom a client sends to the gateway to be let in. */

import { randomBytes } from 'node:crypto'
import { type Browser, openBrowser, type Visited } from './browser.ts'

/** What a person decides; what is left out stays as the consent page offers it. */
export type Choices = {
  scopes?: readonly string[]
  /** One of the lives that the page offers. */
  days?: string
  /** Monthly, in USD, as it is typed. */
  cap?: string
  decision?: 'Approve' | 'Deny'
}

export type Person = ReturnType<typeof newPerson>

const CONSENT = /^\/connect\/[\w-]+$/

/** Somebody without an account, whose Anthropic key the stand-in accepts. */
export function newPerson(publicUrl: string) {
  const username = `person-${randomBytes(5).toString('hex')}`
  const password = `${randomBytes(9).toString('hex')} by heart`
  const apiKey = `sk-ant-api03-${randomBytes(12).toString('hex')}`
  let hasAccount = false
  let browser = openBrowser(publicUrl)

  /** Goes on from wherever the gateway sent the browser until the consent page is open. */
  async function reachConsent(page: Visited): Promise<Visited> {
    const path = page.url.pathname
    if (page.status !== 200) throw new Error(`${page.status} at ${path}: ${page.text}`)
    if (path === '/sign-in') return reachConsent(await enter(page))
    if (path === '/account/key') {
      return reachConsent(await browser.submit('/account/key', { key: apiKey }))
    }
    if (CONSENT.test(path)) return page
    throw new Error(`${path} instead of the consent page: ${page.text}`)
  }

  async function enter({ url: { search } }: Visited): Promise<Visited> {
    if (hasAccount) return browser.submit('/sign-in', { username, password })
    await browser.open(`/sign-up${search}`)
    hasAccount = true
    return browser.submit('/sign-up', { username, password, email: `${username}@example.com` })
  }

  /** Sends the form of the consent page. @returns where the browser was sent at last. */
  async function decide({ decision = 'Approve', ...choices }: Choices = {}): Promise<URL> {
    const { pathname } = browser.page.url
    const { days, scopes, cap } = choices
    const filled = {
      confirmed: 'yes',
      ...(days === undefined ? {} : { days }),
      ...(scopes === undefined ? {} : { permissions: scopes }),
      ...(cap === undefined ? {} : { limit: cap }),
    }
    const { left, status, text } = await browser.submit(pathname, filled, { button: decision })
    if (!left) throw new Error(`${status} instead of the way back to the client: ${text}`)
    return left
  }

  const openConsent = async (authorizationUrl: URL) =>
    reachConsent(await browser.open(authorizationUrl))

  return {
    username,
    password,
    apiKey,
    get browser(): Browser {
      return browser
    },
    /** From now on uses a browser that has never been here. */
    forgetBrowser(): void {
      browser = openBrowser(publicUrl)
    },
    /** Opens what a client shows; signs up (the first time) or in, and enters a key, on the way. */
    openConsent,
    decide,
    /** From the client's URL to the address of the client that the browser is sent back to. */
    async answer(authorizationUrl: URL, choices: Choices = {}): Promise<URL> {
      await openConsent(authorizationUrl)
      return decide(choices)
    },
    /** Makes a personal access token on the account page; the person has signed in before. */
    async newAccessToken(name: string): Promise<string> {
      await browser.open('/account/tokens')
      const { text } = await browser.submit('/account/tokens', { name })
      const token = /cag_[\w-]{43}/.exec(text)?.[0]
      if (token === undefined) throw new Error(`no token is shown: ${text}`)
      return token
    },
    /** Ends the connection of that name on the account page. */
    async endConnection(name: string): Promise<void> {
      const page = await browser.open('/account/connections')
      const item = page.html.split(name)[1] ?? ''
      const path = /action="(\/account\/connections\/[\w-]+\/end)"/.exec(item)?.[1]
      if (path === undefined) throw new Error(`no connection ${name} is listed: ${page.text}`)
      await browser.submit(path)
    },
  }
}
