/** People who talk to Claude on the pages. */

import type { TestApp } from '../../../support/start-app.ts'
import { signUp, type Visitor } from '../visiting.ts'

const KEY = 'sk-ant-api03-of-the-pages'

/** Signed up, with a key. */
export async function signUpToTalk(app: TestApp): Promise<Visitor> {
  const visitor = await signUp(app)
  await visitor.browser.open('/account/key')
  await visitor.browser.submit('/account/key', { key: KEY })
  return visitor
}

/** Begins a conversation. @returns the path of its page, which is open then. */
export async function begin(
  { browser }: Visitor,
  message: string,
  filled: Record<string, string> = {},
): Promise<string> {
  await browser.open('/account/conversations/new')
  const page = await browser.submit('/account/conversations/new', { message, ...filled })
  if (page.status !== 200) throw new Error(`${page.status}: ${page.text}`)
  return page.url.pathname
}
