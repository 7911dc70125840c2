import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AccountService } from '../../../src/services/accounts/accounts.ts'
import { describeDatabases } from '../../support/databases.ts'
import { browserSession, CHOSEN_PASSWORD, personalToken, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const OTHER_PASSWORD = 'a wholly different one'

describeDatabases('accounts', (kind) => {
  let app: TestApp
  let accounts: AccountService
  beforeAll(async () => {
    app = await startApp({
      kind,
      env: { SIGN_IN_FAILURES_PER_ACCOUNT: '3', ADMIN_USERNAMES: 'the-root' },
    })
    accounts = app.app.services.accounts
  })
  afterAll(() => app.close())

  describe('signing up', () => {
    test('makes a user who can sign in and has no key', async () => {
      const { username, userId } = await signUp(app)
      expect(await accounts.checkPassword(username.toUpperCase(), CHOSEN_PASSWORD)).toMatchObject({
        userId,
      })
      expect(await accounts.keyStatus(userId)).toBeNull()
    })

    test.each([
      ['username', { username: 'no spaces allowed' }],
      ['email', { email: 'nobody' }],
      ['password', { password: 'eleven char' }],
      ['password', { password: 'x'.repeat(257) }],
      ['password', { password: 'Long-Username', username: 'long-username' }],
      ['password', { password: 'password1234' }],
      ['password', { password: 'lovelace-2026', email: 'lovelace@example.com' }],
    ])('refuses a wrong %s and stores nothing (%o)', async (field, wrong) => {
      const good = { username: 'somebody-1', email: 'somebody-1@example.com' }
      const wanted = { ...good, password: CHOSEN_PASSWORD, ...wrong }
      await expect(accounts.signUp(wanted)).rejects.toMatchObject({
        code: 'invalid_input',
        details: { field },
      })
      const { users } = app.app.repositories
      expect(await users.findByUsername(wanted.username)).toBeUndefined()
    })

    test('refuses a name or an address that is in use, in any case', async () => {
      const { username, email } = await signUp(app)
      const fresh = { username: 'a-fresh-name', email: 'fresh@example.com' }
      const attempt = (wanted: object) =>
        accounts.signUp({ ...fresh, password: CHOSEN_PASSWORD, ...wanted })
      const name = { username: username.toLowerCase() }
      await expect(attempt(name)).rejects.toMatchObject({ code: 'username_taken' })
      const address = { email: email.toUpperCase() }
      await expect(attempt(address)).rejects.toMatchObject({ code: 'email_taken' })
    })
  })

  describe('changing the password', () => {
    test('ends every other session, and the old password is no longer good', async () => {
      const { username, userId, caller } = await signUp(app)
      const other = await browserSession(app, userId)
      const { token } = await personalToken(app, caller)
      const signedIn = await accounts.authenticate(username, CHOSEN_PASSWORD)
      const change = { currentPassword: CHOSEN_PASSWORD, newPassword: OTHER_PASSWORD }
      expect(await accounts.changePassword(caller, change)).toMatchObject({ endedSessions: 3 })

      const { sessions } = app.app.services
      const left = await sessions.list(caller)
      expect(left.map(({ id }) => id)).toEqual([caller.sessionId])
      expect(left.map(({ id }) => id)).not.toContain(other.sessionId)
      for (const ended of [token, signedIn.accessToken]) {
        await expect(sessions.resolve(ended)).rejects.toMatchObject({ code: 'unauthenticated' })
      }
      await expect(accounts.checkPassword(username, CHOSEN_PASSWORD)).rejects.toMatchObject({
        code: 'invalid_credentials',
      })
      expect(await accounts.checkPassword(username, OTHER_PASSWORD)).toMatchObject({ userId })
    })

    test('refuses a bad new password, also one that many use or that is made of their names', async () => {
      const { username, caller } = await signUp(app)
      for (const newPassword of ['too short', username, `${username}-1`, 'qwertyuiop123']) {
        const change = { currentPassword: CHOSEN_PASSWORD, newPassword }
        await expect(accounts.changePassword(caller, change)).rejects.toMatchObject({
          code: 'invalid_input',
          details: { field: 'new_password' },
        })
      }
    })

    test('of two changes at once one succeeds', async () => {
      const { caller } = await signUp(app)
      const change = (newPassword: string) =>
        accounts.changePassword(caller, { currentPassword: CHOSEN_PASSWORD, newPassword })
      const both = await Promise.allSettled([
        change('the first new password'),
        change('the second new password'),
      ])
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    })

    test('wrong guesses count as failed sign-ins of the account', async () => {
      const { username, caller } = await signUp(app)
      const guess = () =>
        accounts.changePassword(caller, { currentPassword: 'a guess', newPassword: OTHER_PASSWORD })
      await expect(guess()).rejects.toMatchObject({ code: 'invalid_credentials' })
      await expect(accounts.delete(caller, 'a guess')).rejects.toMatchObject({
        code: 'invalid_credentials',
      })
      await expect(guess()).rejects.toMatchObject({ code: 'invalid_credentials' })
      await expect(guess()).rejects.toMatchObject({ code: 'rate_limited' })
      await expect(accounts.checkPassword(username, CHOSEN_PASSWORD)).rejects.toMatchObject({
        code: 'rate_limited',
      })
    })
  })

  test('an admin in ADMIN_USERNAMES is not deleted', async () => {
    const { accessToken, password, userId } = await app.register('the-root')
    const admin = await app.app.services.sessions.resolve(accessToken)
    await expect(accounts.delete(admin, password)).rejects.toMatchObject({ code: 'forbidden' })
    expect(await accounts.checkPassword('the-root', password)).toMatchObject({ userId })
  })

  test('a key is shown by its last four characters, replaced and removed', async () => {
    const { userId, caller } = await signUp(app)
    expect(await accounts.removeKey(caller)).toBe(false)
    await accounts.replaceKey(caller, 'sk-ant-api03-the-first-1111')
    expect(await accounts.keyStatus(userId)).toEqual({
      lastFour: '1111',
      createdAt: expect.any(Date),
      rejectedAt: null,
    })
    await app.app.repositories.apiKeys.updateRejected(userId, new Date())
    expect((await accounts.keyStatus(userId))?.rejectedAt).toBeInstanceOf(Date)
    await accounts.replaceKey(caller, 'sk-ant-api03-the-second-2222')
    expect(await accounts.keyStatus(userId)).toMatchObject({ lastFour: '2222', rejectedAt: null })
    expect(await accounts.removeKey(caller)).toBe(true)
    expect(await accounts.keyStatus(userId)).toBeNull()
  })
})

test('nobody signs up where registration is closed', async () => {
  const app = await startApp({ kind: 'embedded', env: { REGISTRATION: 'closed' } })
  try {
    await expect(signUp(app)).rejects.toMatchObject({ code: 'registration_closed' })
  } finally {
    await app.close()
  }
})
