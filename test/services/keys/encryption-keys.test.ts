/** Passwords through a change of ENCRYPTION_KEY: what moves by itself, and what does not. */

import { randomBytes } from 'node:crypto'
import * as argon2 from 'argon2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ARGON2_PARAMETERS } from '../../../src/crypto/passwords.ts'
import { KeyRing } from '../../../src/crypto/sealed.ts'
import {
  type DatabaseKind,
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'
import { CHOSEN_PASSWORD, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const OLD_KEY = randomBytes(32).toString('base64')
const NEW_KEY = randomBytes(32).toString('base64')
const [oldKeyId, newKeyId] = [OLD_KEY, NEW_KEY].map(
  (key) => new KeyRing(Buffer.from(key, 'base64')).currentKeyId,
)

describeDatabases('the encryption key of passwords', (kind: DatabaseKind) => {
  let database: FreshDatabase
  let app: TestApp
  const start = (env: Record<string, string>) => startApp({ kind, database, env })
  const restart = async (env: Record<string, string>) => {
    await app.close()
    app = await start(env)
  }
  beforeAll(async () => {
    database = await freshDatabaseOptions(kind)
    app = await start({ ENCRYPTION_KEY: OLD_KEY })
  })
  afterAll(async () => {
    await app.close()
    await database.drop()
  })

  const signIn = (username: string, password = CHOSEN_PASSWORD) =>
    app.app.services.accounts.authenticate(username, password)
  const hashOf = async (userId: string) =>
    (await app.app.repositories.users.findPasswordHash(userId)) ?? ''
  const passwordsUnder = async () => {
    const keys = await app.app.services.encryptionKeys.list()
    return keys.map(({ keyId, state, counts }) => ({
      keyId,
      state,
      passwords: counts.find((row) => row.kind === 'passwords')?.count ?? 0,
    }))
  }

  test('takes in hashes of an older build at their next use, on the pages and by tool', async () => {
    const user = await signUp(app)
    const passwordHash = await argon2.hash(CHOSEN_PASSWORD, ARGON2_PARAMETERS)
    await app.app.db
      .updateTable('users')
      .set({ passwordHash })
      .where('id', '=', user.userId)
      .execute()
    expect(await passwordsUnder()).toEqual([
      { keyId: oldKeyId, state: 'current', passwords: 0 },
      { keyId: null, state: 'none', passwords: 1 },
    ])
    await signIn(user.username)
    expect(await hashOf(user.userId)).toMatch(/,keyid=/)
    expect(await passwordsUnder()).toEqual([{ keyId: oldKeyId, state: 'current', passwords: 1 }])
    await expect(signIn(user.username, 'not the right one')).rejects.toMatchObject({
      code: 'invalid_credentials',
    })
    await signIn(user.username)
  })

  test('is changed while people sign in; who has not yet needs the old key, or a reset', async () => {
    const [prompt, late] = [await signUp(app), await signUp(app)]
    await restart({ ENCRYPTION_KEY: NEW_KEY, ENCRYPTION_KEYS_PREVIOUS: OLD_KEY })
    await signIn(prompt.username)
    expect(await passwordsUnder()).toEqual([
      { keyId: newKeyId, state: 'current', passwords: 1 },
      { keyId: oldKeyId, state: 'previous', passwords: 2 },
    ])
    const everythingElse = async () =>
      (await app.app.services.encryptionKeys.list())
        .filter(({ state }) => state === 'previous')
        .flatMap(({ counts }) => counts.filter((row) => row.kind !== 'passwords'))
    await expect.poll(everythingElse).toEqual([])

    await restart({ ENCRYPTION_KEY: NEW_KEY })
    await signIn(prompt.username)
    expect((await passwordsUnder()).at(-1)).toEqual({
      keyId: oldKeyId,
      state: 'missing',
      passwords: 2,
    })
    await expect(signIn(late.username)).rejects.toMatchObject({ code: 'invalid_credentials' })
    expect(app.logLines.filter((line) => line.includes('cannot be checked'))).toEqual([
      expect.stringContaining(`"keyId":"${oldKeyId}"`),
    ])
    const { password } = await app.app.services.userAdministration.resetPassword(late.username)
    await signIn(late.username, password)

    await restart({ ENCRYPTION_KEY: NEW_KEY, ENCRYPTION_KEYS_PREVIOUS: OLD_KEY })
    await signIn(late.username, password)
    await expect(signIn(late.username)).rejects.toMatchObject({ code: 'invalid_credentials' })
  })
})
