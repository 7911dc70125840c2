/** Effects and the end of the session that asks for them, at one moment. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { browserSession, CHOSEN_PASSWORD, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const ROUNDS = 12

describeDatabases('effects that meet the end of their session', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const services = () => app.app.services
  const inAnHour = () => new Date(Date.now() + 3_600_000)
  const codesOf = (results: PromiseSettledResult<unknown>[]) => [
    ...new Set(results.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []))),
  ]
  const liveOf = (userId: string) => app.app.repositories.sessions.listLive(userId, 100)

  /** Makes tokens with tokens that make tokens, until one of them is refused. */
  async function breed(caller: Caller, name: string): Promise<void> {
    for (let child = caller, age = 0; ; age++) {
      const { token } = await services().personalTokens.create(child, {
        name: `${name} ${age}`,
        scopes: ['account'],
        expiresAt: inAnHour(),
      })
      child = await services().sessions.resolve(token)
    }
  }

  test('leave no session behind, however they make one from another', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const { caller } = await signUp(app)
      const { caller: later } = { caller: await browserSession(app, caller.userId) }
      const breeding = [1, 2, 3].map((name) => breed(caller, String(name)))
      const [, ...ended] = await Promise.allSettled([
        services().sessions.revokeAll(later),
        ...breeding,
      ])
      expect(codesOf(ended)).toEqual(['unauthenticated'])
      expect(await liveOf(caller.userId)).toEqual([])
    }
  })

  test('wait for each other at most, and are refused by nothing else: sends', async () => {
    const deletion = (owner: Caller) => services().accounts.delete(owner, CHOSEN_PASSWORD)
    const ends: ((owner: Caller) => Promise<unknown>)[] = [
      (owner) => services().sessions.revokeAll(owner),
      (owner) => {
        const newPassword = 'another one that is long'
        const passwords = { currentPassword: CHOSEN_PASSWORD, newPassword }
        return services().accounts.changePassword(owner, passwords)
      },
      deletion,
    ]
    const { signal } = new AbortController()
    for (const end of ends) {
      for (let round = 0; round < ROUNDS / 3; round++) {
        const { caller } = await signUp(app)
        await services().accounts.replaceKey(caller, 'sk-ant-api03-of-somebody-who-leaves')
        const senders = await Promise.all(
          Array.from({ length: 4 }, () => browserSession(app, caller.userId)),
        )
        const sends = senders.map(async (sender) => {
          for (;;) {
            const input = { message: 'again', thinking: 'off' as const }
            await services().messages.send(sender, input, { waitSeconds: 30, signal })
          }
        })
        const [ended, ...sent] = await Promise.allSettled([end(caller), ...sends])
        expect(ended).toMatchObject({ status: 'fulfilled' })
        // A deletion stops answers before their asker's session has ended, and a send that meets it
        // may find its account gone.
        const isOfDeletion = (code: string) => code === 'cancelled' || code === 'not_found'
        const codes = codesOf(sent).filter((code) => end !== deletion || !isOfDeletion(code))
        expect(codes.filter((code) => code !== 'unauthenticated')).toEqual([])
      }
    }
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
    expect(app.errorLines()).toEqual([])
  })
})
