/** Many requests at once, one statement: each learns of its own session, and is counted by itself. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { SessionProof } from '../../../src/repositories/access/session-checks.ts'
import type { Caller } from '../../../src/services/access/caller.ts'
import { type CheckedSession, SessionChecks } from '../../../src/services/access/session-lookup.ts'
import { describeDatabases } from '../../support/databases.ts'
import { personalToken, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const COUNTER = { keyPrefix: 'test:', windowMs: 60_000 }

describeDatabases('session checks', (kind) => {
  let app: TestApp
  let ada: Caller
  let bob: Caller
  beforeAll(async () => {
    app = await startApp({ kind })
    ada = (await signUp(app)).caller
    bob = (await signUp(app)).caller
  })
  afterAll(() => app.close())

  const proofOf = ({ sessionId: id, userId }: Caller): SessionProof => ({ id, userId })
  const hitsOf = (checked: CheckedSession | undefined) => checked?.count?.hits

  /** How many statements the checks took, and what they say. */
  function watched() {
    const { sessionChecks } = app.app.repositories
    let statements = 0
    const findLive: typeof sessionChecks.findLive = (...args) => {
      statements += 1
      return sessionChecks.findLive(...args)
    }
    const repositories = { sessionChecks: { findLive } as typeof sessionChecks }
    const checks = (counter: typeof COUNTER | null) => new SessionChecks(repositories, counter)
    return { checks, statements: () => statements }
  }

  test('those that come together share a statement, and each gets its own session', async () => {
    const { checks, statements } = watched()
    const all = checks(null)
    const asked = Array.from({ length: 40 }, (_, i) => (i % 2 ? ada : bob))
    const found = await Promise.all(asked.map((caller) => all.find(proofOf(caller))))
    expect(statements()).toBe(1)
    expect(found.map((one) => one?.session.userId)).toEqual(asked.map(({ userId }) => userId))
    expect(found.map((one) => one?.session.id)).toEqual(asked.map(({ sessionId }) => sessionId))
    expect(found.every((one) => one?.count === null)).toBe(true)
  })

  test('each is counted for its user, over all sessions, in the order they came', async () => {
    const { id } = await personalToken(app, ada, ['messages:send'])
    const other = { ...ada, sessionId: id }
    const counting = new SessionChecks(app.app.repositories, { ...COUNTER, keyPrefix: 'order:' })
    const ask = (callers: Caller[]) =>
      Promise.all(callers.map((caller) => counting.find(proofOf(caller))))
    expect((await ask([ada, ada, bob, ada])).map(hitsOf)).toEqual([1, 2, 1, 3])
    const both = (await ask([ada, other, ada, bob])).map(hitsOf)
    expect([...both.slice(0, 3)].sort()).toEqual([4, 5, 6])
    expect(both[3]).toBe(2)
  })

  test('a window that is over begins anew, for all that come at once', async () => {
    const counting = new SessionChecks(app.app.repositories, { keyPrefix: 'brief:', windowMs: 300 })
    const ask = () => Promise.all([ada, ada].map((caller) => counting.find(proofOf(caller))))
    expect((await ask()).map(hitsOf)).toEqual([1, 2])
    const resetAt = (await ask())[1]?.count?.resetAt ?? new Date(Number.NaN)
    await expect.poll(() => Date.now() > resetAt.getTime() + 50).toBe(true)
    expect((await ask()).map(hitsOf)).toEqual([1, 2])
  })

  test('what nobody has is not found, and spoils nothing for the others', async () => {
    const counting = new SessionChecks(app.app.repositories, { ...COUNTER, keyPrefix: 'odd:' })
    const found = await Promise.all([
      counting.find({ id: 'no-uuid', userId: ada.userId }),
      counting.find({ id: bob.sessionId, userId: ada.userId }),
      counting.find({ id: "{x',null", userId: 'y,z' }),
      counting.find(proofOf(ada)),
    ])
    expect(found.map(hitsOf)).toEqual([undefined, undefined, undefined, 1])
  })

  test('a session that ends is gone for the very next check, also among many', async () => {
    const { caller } = await signUp(app)
    const { checks } = watched()
    const all = checks(null)
    expect(await all.find(proofOf(caller))).toBeDefined()
    await app.app.services.sessions.revoke(caller)
    const found = await Promise.all([ada, caller, bob].map((one) => all.find(proofOf(one))))
    expect(found.map((one) => one?.session.userId)).toEqual([ada.userId, undefined, bob.userId])
  })

  test('an error is everybody’s, and the next statement starts afresh', async () => {
    const { sessionChecks } = app.app.repositories
    let isAway = true
    const findLive: typeof sessionChecks.findLive = (...args) =>
      isAway
        ? args[0].map(() => Promise.reject(new Error('away')))
        : sessionChecks.findLive(...args)
    const checks = new SessionChecks({ sessionChecks: { findLive } as typeof sessionChecks })
    const outcomes = await Promise.allSettled([ada, bob].map((one) => checks.find(proofOf(one))))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    isAway = false
    expect((await checks.find(proofOf(ada)))?.session.userId).toBe(ada.userId)
  })
})
