/** A user of the pages, and the connections they approve: what an attacker is after. */

import { expect } from 'vitest'
import type { Filled } from '../support/browser.ts'
import type { Authorization, OAuthFlow } from '../support/oauth-flow.ts'
import type { TestApp } from '../support/start-app.ts'
import { signUp } from '../web/pages/visiting.ts'

export type Connected = {
  asked: Authorization
  /** Where the browser was sent back to, with the code. */
  callback: URL
  accessToken: string
  refreshToken: string
}

export type ConnectedUser = Awaited<ReturnType<typeof newConnectedUser>>

/** Signed up by the pages, with an Anthropic key. */
export async function newConnectedUser(app: TestApp, flow: OAuthFlow) {
  const visitor = await signUp(app)
  const { browser } = visitor
  const apiKey = `sk-ant-api03-of-${visitor.username}`
  await browser.open('/account/key')
  await browser.submit('/account/key', { key: apiKey })

  /** Approves all that is asked for, unless told otherwise. @returns where the browser was sent. */
  async function approve({ url }: Authorization, filled: Filled = {}): Promise<URL> {
    const page = await browser.open(url)
    const permissions = [...page.html.matchAll(/name="permissions" value="([\w:]+)"/g)].map(
      ([, scope = '']) => scope,
    )
    const all = { permissions, confirmed: 'yes', ...filled }
    const { left, text } = await browser.submit(page.url.pathname, all, { button: 'Approve' })
    if (!left) throw new Error(text)
    return left
  }

  return {
    ...visitor,
    apiKey,
    approve,
    /** A client that registered, was approved and has its tokens. */
    async connect(changes: Record<string, string | undefined> = {}): Promise<Connected> {
      const asked = flow.authorization(await flow.newClient(), changes)
      const callback = await approve(asked)
      const { status, body } = await flow.exchange(asked, callback)
      expect(status).toBe(200)
      return { asked, callback, accessToken: body.access_token, refreshToken: body.refresh_token }
    },
  }
}
