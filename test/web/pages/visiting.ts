/** People on the pages. */

import { randomBytes } from 'node:crypto'
import { type Browser, openBrowser } from '../../support/browser.ts'
import type { TestApp } from '../../support/start-app.ts'

export const PASSWORD = 'correct horse battery staple'

export const browserOf = ({ baseUrl, config }: TestApp) =>
  openBrowser(baseUrl, config.http.publicUrl)

export const newName = () => `Ada-${randomBytes(5).toString('hex')}`

export type Visitor = { browser: Browser; username: string; userId: string }

/** Signed up by the pages, without a key. */
export async function signUp(app: TestApp, username = newName()): Promise<Visitor> {
  const browser = browserOf(app)
  await browser.open('/sign-up')
  const email = `${username}@example.com`
  await browser.submit('/sign-up', { username, email, password: PASSWORD })
  const { userId } = await app.app.services.accounts.checkPassword(username, PASSWORD)
  return { browser, username, userId }
}

export async function signIn(browser: Browser, username: string, password = PASSWORD) {
  await browser.open('/sign-in')
  return browser.submit('/sign-in', { username, password })
}

/** Of the one cookie whose name ends so. */
export function cookieOf(browser: Browser, name: 'session' | 'csrf') {
  const found = [...browser.cookies].find(([key]) => key.endsWith(name))
  if (!found) throw new Error(`no ${name} cookie`)
  return { name: found[0], value: found[1] }
}

export const csrfTokenIn = (html: string) =>
  /name="csrf_token" value="([^"]*)"/.exec(html)?.[1] ?? ''
