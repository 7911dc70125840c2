import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import {
  MAX_PERSONAL_TOKENS,
  type PersonalTokens,
} from '../../../src/services/access/personal-tokens.ts'
import { ALL_SCOPES } from '../../../src/services/access/scopes.ts'
import { describeDatabases } from '../../support/databases.ts'
import { personalToken, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const DAY_MS = 86_400_000
const inDays = (days: number) => new Date(Date.now() + days * DAY_MS)

describeDatabases('personal access tokens', (kind) => {
  let app: TestApp
  let personalTokens: PersonalTokens
  let caller: Caller
  beforeAll(async () => {
    app = await startApp({ kind })
    personalTokens = app.app.services.personalTokens
    caller = (await signUp(app)).caller
  })
  afterAll(() => app.close())

  const wanted = (more = {}) => ({
    name: 'nightly job',
    scopes: ['messages:send'] as const,
    expiresAt: inDays(30),
    ...more,
  })

  test('a token acts as its user with its scopes, until it is revoked', async () => {
    const { token, id } = await personalTokens.create(caller, wanted())
    expect(token).toMatch(/^cag_[\w-]{43}$/)
    const { sessions } = app.app.services
    expect(await sessions.resolve(token)).toEqual({
      userId: caller.userId,
      username: caller.username,
      sessionId: id,
      kind: 'personal',
      scopes: ['messages:send'],
      isAdmin: false,
      isAuditor: false,
      network: null,
    })
    const listed = (await sessions.list(caller)).find((session) => session.id === id)
    expect(listed).toMatchObject({
      kind: 'personal',
      name: 'nightly job',
      scopes: ['messages:send'],
      isCurrent: false,
      limitNanoUsd: null,
      spentNanoUsd: null,
    })
    expect(JSON.stringify(app.logLines)).not.toContain(token)
    expect(await sessions.revokeOne(caller, id)).toBe(true)
    expect(await sessions.revokeOne(caller, id)).toBe(false)
    await expect(sessions.resolve(token)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('never has more scopes than whoever makes it, who needs account', async () => {
    const { sessions } = app.app.services
    const some = await personalToken(app, caller, ['account', 'messages:send'])
    const limited = await sessions.resolve(some.token)
    const made = await personalTokens.create(limited, wanted())
    expect((await sessions.resolve(made.token)).scopes).toEqual(['messages:send'])
    const more = wanted({ scopes: ['messages:send', 'usage:read'] })
    await expect(personalTokens.create(limited, more)).rejects.toMatchObject({
      code: 'insufficient_scope',
      details: { scope: 'usage:read' },
    })
    const sender = await sessions.resolve(made.token)
    await expect(personalTokens.create(sender, wanted())).rejects.toMatchObject({
      code: 'insufficient_scope',
      details: { scope: 'account' },
    })
  })

  test.each([
    ['name', { name: '   ' }],
    ['name', { name: 'x'.repeat(65) }],
    ['name', { name: 'two\nlines' }],
    ['name', { name: 'a\0b' }],
    ['scopes', { scopes: [] }],
    ['expires_at', { expiresAt: inDays(367) }],
    ['expires_at', { expiresAt: inDays(-1) }],
    ['expires_at', { expiresAt: new Date(Number.NaN) }],
  ])('refuses a wrong %s (%o)', async (field, wrong) => {
    await expect(personalTokens.create(caller, wanted(wrong))).rejects.toMatchObject({
      code: 'invalid_input',
      details: { field },
    })
  })

  test('of several with one name at once one is made', async () => {
    const { caller: one } = await signUp(app)
    // The first round opens the connections that the next ones meet on.
    for (const name of ['a', 'b', 'c', 'd']) {
      const asked = Array.from({ length: 8 }, () => personalTokens.create(one, wanted({ name })))
      const settled = await Promise.allSettled(asked)
      expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const result of settled) {
        if (result.status === 'fulfilled') continue
        expect(result.reason).toMatchObject({ code: 'invalid_input', details: { field: 'name' } })
      }
    }
  })

  test('an ended one, and those of other users, hold no name', async () => {
    const [{ caller: one }, { caller: other }] = [await signUp(app), await signUp(app)]
    const { id } = await personalTokens.create(one, wanted())
    await expect(personalTokens.create(other, wanted())).resolves.toBeDefined()
    expect(await app.app.services.sessions.revokeOne(one, id)).toBe(true)
    await expect(personalTokens.create(one, wanted())).resolves.toBeDefined()
  })

  test('a user has so many at most, however they are asked for, and all sessions stay listed', async () => {
    const { caller: hoarder } = await signUp(app)
    const asked = Array.from({ length: MAX_PERSONAL_TOKENS + 5 }, (_, index) =>
      personalToken(app, hoarder, ALL_SCOPES, `agent ${index}`),
    )
    const made = (await Promise.allSettled(asked)).filter(({ status }) => status === 'fulfilled')
    expect(made).toHaveLength(MAX_PERSONAL_TOKENS)
    await expect(personalToken(app, hoarder)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('which is the most'),
    })
    const listed = await app.app.services.sessions.list(hoarder)
    expect(listed).toHaveLength(MAX_PERSONAL_TOKENS + 1)
    expect(listed.filter(({ isCurrent }) => isCurrent).map(({ kind }) => kind)).toEqual(['browser'])
    await app.app.services.sessions.revokeOne(hoarder, listed[0]?.id ?? '')
    await expect(personalToken(app, hoarder)).resolves.toBeDefined()
  })

  describe("somebody else's", () => {
    test('session cannot be ended, and is not listed', async () => {
      const { caller: other } = await signUp(app)
      const { id, token } = await personalToken(app, other)
      const { sessions } = app.app.services
      expect(await sessions.revokeOne(caller, id)).toBe(false)
      expect((await sessions.resolve(token)).userId).toBe(other.userId)
      expect((await sessions.list(caller)).map((session) => session.id)).not.toContain(id)
    })
  })
})
