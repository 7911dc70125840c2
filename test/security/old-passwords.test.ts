/** An old password dies with its change, however many sign-ins are under way. */

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { browserSession } from '../support/signed-up.ts'
import { startApp, type TestApp } from '../support/start-app.ts'
import { PASSWORD, signUp } from '../web/pages/visiting.ts'

const CHANGES = 4
const SIGN_INS_AT_ONCE = 8

describeDatabases('a password that was changed', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { SIGN_IN_FAILURES_PER_ACCOUNT: '100000' } })
  })
  afterAll(() => app.close())

  const services = () => app.app.services

  /** Signs in again and again by tool and by page until told to stop. @returns the secrets. */
  function keepSigningIn(username: string, password: string) {
    const begun: { token?: string; cookie?: string }[] = []
    const refusals = new Set<string>()
    let isOver = false
    const byTool = async () => {
      const { accessToken } = await services().accounts.authenticate(username, password)
      begun.push({ token: accessToken })
    }
    const byPage = async () => {
      const proof = await services().accounts.checkPassword(username, password)
      const expiresAt = new Date(Date.now() + 60_000)
      begun.push({ cookie: await services().sessions.beginBrowserSession(proof, expiresAt) })
    }
    const one = async (signIn: () => Promise<void>) => {
      await signIn().catch(({ code }) => refusals.add(code))
    }
    const all = Array.from({ length: SIGN_INS_AT_ONCE }, async (_, index) => {
      do await one(index % 2 === 0 ? byTool : byPage)
      while (!isOver)
    })
    const stop = async () => {
      isOver = true
      await Promise.all(all)
      return [...refusals].sort()
    }
    onTestFinished(async () => void (await stop()))
    return { begun, stop }
  }

  const isGood = async ({ token, cookie }: { token?: string; cookie?: string }) => {
    if (token === undefined) return services().sessions.findBrowserSession(cookie ?? '')
    return services()
      .sessions.resolve(token)
      .catch(() => undefined)
  }
  const goodOf = async (begun: { token?: string; cookie?: string }[]) =>
    (await Promise.all(begun.map(isGood))).filter((caller) => caller !== undefined).length

  test('begins no session, though it was right when it was checked', async () => {
    const { username, userId } = await signUp(app)
    const proof = await services().accounts.checkPassword(username, PASSWORD)
    const owner = await browserSession(app, userId)
    const passwords = { currentPassword: PASSWORD, newPassword: 'a new one that is long' }
    await services().accounts.changePassword(owner, passwords)
    const refused = { code: 'invalid_credentials' }
    const expiresAt = new Date(Date.now() + 60_000)
    await expect(services().sessions.issue(proof)).rejects.toMatchObject(refused)
    await expect(services().sessions.beginBrowserSession(proof, expiresAt)).rejects.toMatchObject(
      refused,
    )
    expect(await services().sessions.list(owner)).toHaveLength(1)
  })

  test('leaves no session behind that it began', async () => {
    const { username, userId } = await signUp(app)
    let password = PASSWORD
    for (let change = 0; change < CHANGES; change++) {
      const owner = await browserSession(app, userId)
      const signIns = keepSigningIn(username, password)
      await expect.poll(() => signIns.begun.length).toBeGreaterThan(1)
      const newPassword = `changed for the ${change}th time`
      const passwords = { currentPassword: password, newPassword }
      await services().accounts.changePassword(owner, passwords)
      const refusals = await signIns.stop()
      expect(refusals.filter((code) => code !== 'overloaded')).toEqual(['invalid_credentials'])
      expect(await goodOf(signIns.begun)).toBe(0)
      expect(await services().sessions.list(owner)).toHaveLength(1)
      password = newPassword
    }
  })

  test('by the operator leaves none either', async () => {
    const { username } = await signUp(app)
    let password = PASSWORD
    for (let change = 0; change < CHANGES / 2; change++) {
      const signIns = keepSigningIn(username, password)
      await expect.poll(() => signIns.begun.length).toBeGreaterThan(1)
      password = (await services().userAdministration.resetPassword(username)).password
      await signIns.stop()
      expect(await goodOf(signIns.begun)).toBe(0)
    }
    await expect(services().accounts.checkPassword(username, password)).resolves.toBeDefined()
  })

  test('to newer parameters by one of many sign-ins refuses none of the others', async () => {
    const { username, userId } = await signUp(app)
    // Of a weaker hash than today's: each sign-in would replace it.
    const argon2 = await import('argon2')
    const passwordHash = await argon2.hash(PASSWORD, {
      memoryCost: 512,
      timeCost: 1,
      parallelism: 1,
    })
    await app.app.db.updateTable('users').set({ passwordHash }).where('id', '=', userId).execute()
    const signIns = Array.from({ length: 8 }, () =>
      services().accounts.authenticate(username, PASSWORD),
    )
    expect(
      await goodOf((await Promise.all(signIns)).map(({ accessToken: token }) => ({ token }))),
    ).toBe(8)
  })
})
