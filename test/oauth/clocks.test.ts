/** Replicas whose clocks are minutes beside the database's and one another's. */

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { hasPostgresql } from '../support/databases.ts'
import { startOAuthApp } from '../support/oauth-app.ts'
import { createFlow, type OAuthFlow } from '../support/oauth-flow.ts'
import { newPerson } from '../support/oauth-person.ts'
import type { TestApp } from '../support/start-app.ts'

const MINUTE_MS = 60_000

// The embedded database has this process's clock.
describe.runIf(hasPostgresql)('a clock beside the database’s', () => {
  let app: TestApp
  let flow: OAuthFlow
  beforeAll(async () => {
    app = await startOAuthApp({ kind: 'postgresql', env: { SESSION_TIMEOUT: '60' } })
    flow = createFlow(app.baseUrl)
  })
  afterAll(() => app.close())
  afterEach(() => void vi.useRealTimers())

  /** From here on requests are answered as by a replica whose clock is so much beside. */
  function answeredBeside(minutes: number): void {
    vi.useRealTimers()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + minutes * MINUTE_MS })
  }

  test.each([
    ['behind, on one replica', -5, -5, -5],
    ['ahead, on one replica', 5, 5, 5],
    ['from one behind to one ahead', -5, 5, 0],
    ['from one ahead to one behind', 5, -5, 5],
    ['from a right one to one ahead', 0, 5, 0],
  ])('a sign-in is finished, %s', async (_name, approving, exchanging, serving) => {
    answeredBeside(approving)
    const person = newPerson(app.baseUrl)
    const asked = flow.authorization(await flow.newClient())
    const callback = await person.answer(asked.url)

    answeredBeside(exchanging)
    const { status, body } = await flow.exchange(asked, callback)
    expect([status, body.error]).toEqual([200, undefined])

    answeredBeside(serving)
    expect((await flow.callTool(body.access_token, 'get_conversations')).status).toBe(200)
    const refreshed = await flow.refresh(asked.clientId, body.refresh_token)
    expect([refreshed.status, refreshed.body.error]).toEqual([200, undefined])
  })

  test.each([-5, 5])('a session lives as long as it should, from %i minutes', async (beside) => {
    const user = await app.register()
    answeredBeside(beside)
    const { accounts, sessions, keyLinks } = app.app.services
    const { accessToken } = await accounts.authenticate(user.username, user.password)
    const caller = await sessions.resolve(accessToken)
    const rows = await app.app.db
      .selectFrom('sessions')
      .select(['createdAt', 'expiresAt'])
      .where('id', '=', caller.sessionId)
      .execute()
    const livesMs = rows.map(({ createdAt, expiresAt }) => Number(expiresAt) - Number(createdAt))
    expect(livesMs).toEqual([expect.closeTo(60_000, -4)])
    const { url } = await keyLinks.create(caller, 'account')
    const link = new URL(url).searchParams.get('link') ?? ''
    expect(await keyLinks.belongsTo(link, caller.userId)).toBe(true)
  })

  test('a token is good for a minute longer where the clock says it is over', async () => {
    const user = await app.register()
    const { accounts, sessions } = app.app.services
    const { accessToken, expiresAt } = await accounts.authenticate(user.username, user.password)
    const at = (ms: number) => vi.useFakeTimers({ toFake: ['Date'], now: Number(expiresAt) + ms })
    at(55_000)
    expect(await sessions.resolve(accessToken)).toMatchObject({ userId: user.userId })
    at(65_000)
    await expect(sessions.resolve(accessToken)).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
