/** A connection that ends, or is approved anew, while its client is on its way to a token. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ConnectedUser, newConnectedUser } from '../security/connected-user.ts'
import { describeDatabases } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, type OAuthFlow } from '../support/oauth-flow.ts'
import { browserSession } from '../support/signed-up.ts'
import type { TestApp } from '../support/start-app.ts'

describeDatabases('a connection', (kind) => {
  let app: TestApp
  let flow: OAuthFlow
  let user: ConnectedUser
  beforeAll(async () => {
    app = await startOAuthApp({ kind })
    flow = createFlow(app.baseUrl)
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    user = await newConnectedUser(app, flow)
  })

  const endEverything = async () => {
    const { sessions } = app.app.services
    return sessions.revokeAll(await browserSession(app, user.userId))
  }
  const live = () => app.app.repositories.sessions.listLive(user.userId, 100)
  const records = async (model: string) => {
    const { db } = app.app
    const found = db.selectFrom('oauthRecords').select('key').where('model', '=', model)
    return (await found.where('userId', '=', user.userId).execute()).length
  }

  /** Does something once, after a refresh token was found and before it is used. */
  function beforeRefresh(work: () => Promise<unknown>): void {
    const { oauthRecords } = app.app.repositories
    const find = oauthRecords.find.bind(oauthRecords)
    oauthRecords.find = async (asked, by) => {
      const found = await find(asked, by)
      if (asked !== 'RefreshToken') return found
      oauthRecords.find = find
      await work()
      return found
    }
  }

  /** Does something once, right before a record of this kind is written. */
  function beforeNext(model: string, work: () => Promise<unknown>): void {
    const { oauthRecords } = app.app.repositories
    const consume = oauthRecords.consume.bind(oauthRecords)
    oauthRecords.consume = async (asked, key) => {
      const isFirst = await consume(asked, key)
      if (asked !== model) return isFirst
      oauthRecords.consume = consume
      await work()
      return isFirst
    }
  }

  test('that ends between the use of a code and its tokens gives none', async () => {
    const asked = flow.authorization(await flow.newClient())
    const callback = await user.approve(asked)
    beforeNext('AuthorizationCode', endEverything)
    const { status, body } = await flow.exchange(asked, callback)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
    expect(await records('RefreshToken')).toBe(0)
  })

  test('that ends while its refresh token is used gives no other', async () => {
    const { asked, refreshToken } = await user.connect()
    beforeRefresh(endEverything)
    const { status, body } = await flow.refresh(asked.clientId, refreshToken)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
    expect(body).not.toHaveProperty('access_token')
  })

  test('that was approved while everything ends does not come back to life', async () => {
    const asked = flow.authorization(await flow.newClient())
    const page = await user.browser.open(asked.url)
    const csrf = /name="csrf_token" value="([^"]*)"/.exec(page.html)?.[1] ?? ''
    const fields: [string, string][] = [
      ['csrf_token', csrf],
      ['days', '90'],
      ['limit', ''],
      ['permissions', 'messages:send'],
      ['confirmed', 'yes'],
      ['decision', 'approve'],
    ]
    // By hand, to stop where the browser would go on to the client.
    const decided = await fetch(page.url, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams(fields),
      headers: {
        cookie: [...user.browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        origin: app.baseUrl,
      },
    })
    expect(decided.status).toBe(303)
    expect((await live()).map((row) => row.kind)).toContain('connection')
    await endEverything()
    const onward = await user.browser.open(decided.headers.get('location') ?? '')
    expect(onward.left?.searchParams.get('code') ?? null).toBeNull()
    expect(await records('AuthorizationCode')).toBe(0)
    expect(await live()).toEqual([])
  })

  test('that is approved again loses the codes and refresh tokens it had', async () => {
    const { asked, refreshToken } = await user.connect()
    const { clientId } = asked
    const second = flow.authorization(clientId)
    const unused = await user.approve(second)
    const third = flow.authorization(clientId)
    const callback = await user.approve(third)
    const stale = await flow.exchange(second, unused)
    expect([stale.status, stale.body.error]).toEqual([400, 'invalid_grant'])
    const old = await flow.refresh(clientId, refreshToken)
    expect([old.status, old.body.error]).toEqual([400, 'invalid_grant'])
    // Which says nothing of the connection itself.
    const { status, body } = await flow.exchange(third, callback)
    expect(status).toBe(200)
    const again = await flow.refresh(clientId, body.refresh_token)
    expect(again.status).toBe(200)
    expect((await live()).filter((row) => row.kind === 'connection')).toHaveLength(1)
  })

  test('that is approved again during a refresh leaves no token of before it', async () => {
    const { asked, refreshToken } = await user.connect()
    const again = flow.authorization(asked.clientId)
    beforeRefresh(() => user.approve(again))
    const { status, body } = await flow.refresh(asked.clientId, refreshToken)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
    expect(await records('RefreshToken')).toBe(0)
  })
})
