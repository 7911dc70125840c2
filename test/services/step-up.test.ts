/** That the password was just given is part of the effect, like that the session is live. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Caller } from '../../src/services/access/caller.ts'
import { describeDatabases } from '../support/databases.ts'
import { CHOSEN_PASSWORD, proofOf, type SignedUp, signUp } from '../support/signed-up.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

const KEY = 'sk-ant-api03-step-up-5555'
const ASKED = { code: 'proof_required' }

describeDatabases('the password again', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const services = () => app.app.services
  const provenAgo = (caller: Caller, seconds: number) =>
    sql`update sessions set proven_at = now() - make_interval(secs => ${seconds})
      where id = ${caller.sessionId}::uuid`.execute(app.app.db)
  const longAgo = async (): Promise<SignedUp> => {
    const user = await signUp(app)
    await provenAgo(user.caller, 601)
    return user
  }
  const createToken = (caller: Caller) =>
    services().personalTokens.create(caller, {
      name: 'a token',
      scopes: ['usage:read'],
      expiresAt: new Date(Date.now() + 60_000),
    })
  const readExport = async (caller: Caller) => {
    for await (const piece of services().exports.stream(caller)) return piece
    return undefined
  }

  test('is asked of a browser for a token, a key and an export, by the database’s clock', async () => {
    const { caller, userId } = await longAgo()
    await expect(createToken(caller)).rejects.toMatchObject(ASKED)
    await expect(services().accounts.replaceKey(caller, KEY)).rejects.toMatchObject(ASKED)
    await expect(readExport(caller)).rejects.toMatchObject(ASKED)
    expect(await services().accounts.keyStatus(userId)).toBeNull()
    await provenAgo(caller, 590)
    await createToken(caller)
    await services().accounts.replaceKey(caller, KEY)
    expect(await readExport(caller)).toContain(userId)
  })

  test('is looked at where the effect is written: what took too long until then is asked', async () => {
    const { caller, userId } = await signUp(app)
    // Between its own look, before it tries the key at Anthropic, and the transaction.
    app.claude.journal.length = 0
    const { sessions } = app.app.repositories
    const isProven = sessions.isProven.bind(sessions)
    sessions.isProven = async (...args) => {
      const answer = await isProven(...args)
      await provenAgo(caller, 601)
      return answer
    }
    await expect(services().accounts.replaceKey(caller, KEY)).rejects.toMatchObject(ASKED)
    sessions.isProven = isProven
    expect(app.claude.journal).toHaveLength(1)
    expect(await services().accounts.keyStatus(userId)).toBeNull()
  })

  test('holds for a deletion, which gives it with the request', async () => {
    const { caller, username } = await longAgo()
    await services().accounts.delete(caller, CHOSEN_PASSWORD)
    expect(await app.app.repositories.users.findByUsername(username.toLowerCase())).toBeUndefined()
  })

  test('is asked of no token: what it may do was decided when it was made', async () => {
    const { username } = await longAgo()
    const { accessToken } = await services().accounts.authenticate(username, CHOSEN_PASSWORD)
    const caller = await services().sessions.resolve(accessToken)
    await provenAgo(caller, 601)
    await services().accounts.replaceKey(caller, KEY)
    expect(await readExport(caller)).toBeDefined()
  })

  test('counts in the session it was given in, while that lives and the password is the same', async () => {
    const { caller, userId } = await longAgo()
    const proof = await proofOf(app, userId)
    await services().sessions.prove(caller, proof)
    await createToken(caller)

    await provenAgo(caller, 601)
    const newPassword = 'an entirely other phrase'
    const change = { currentPassword: CHOSEN_PASSWORD, newPassword }
    await services().accounts.changePassword(caller, change)
    await expect(services().sessions.prove(caller, proof)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    await expect(createToken(caller)).rejects.toMatchObject(ASKED)
    await services().accounts.prove(caller, newPassword)
    await services().sessions.revoke(caller)
    await expect(services().accounts.prove(caller, newPassword)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })
})
