/** A user of the pages: with a password of their own, in a browser session, without a key. */

import { randomBytes } from 'node:crypto'
import type { Caller } from '../../src/services/access/caller.ts'
import type { TestApp } from './start-app.ts'

export const CHOSEN_PASSWORD = 'correct horse battery staple'

export type SignedUp = { username: string; email: string; userId: string; caller: Caller }

export async function signUp({ app }: TestApp): Promise<SignedUp> {
  const username = `User-${randomBytes(5).toString('hex')}`
  const email = `${username}@example.com`
  const wanted = { username, email, password: CHOSEN_PASSWORD }
  const { userId } = await app.services.accounts.signUp(wanted)
  return { username, email, userId, caller: await browserSession({ app }, userId) }
}

/** As if the user had just given the password. */
export async function proofOf({ app }: Pick<TestApp, 'app'>, userId: string) {
  const { passwordHash } = await app.db
    .selectFrom('users')
    .select('passwordHash')
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  return { userId, passwordHash, network: null }
}

export async function browserSession({ app }: Pick<TestApp, 'app'>, userId: string) {
  const { sessions } = app.services
  const proof = await proofOf({ app }, userId)
  const cookie = await sessions.beginBrowserSession(proof, new Date(Date.now() + 3_600_000))
  const caller = await sessions.findBrowserSession(cookie)
  if (!caller) throw new Error('a browser session that was begun is not good')
  return caller
}

/** A personal token with these scopes. */
export async function personalToken(
  { app }: Pick<TestApp, 'app'>,
  caller: Caller,
  scopes: Caller['scopes'] = caller.scopes,
  name = 'an agent',
) {
  const expiresAt = new Date(Date.now() + 3_600_000)
  return app.services.personalTokens.create(caller, { name, scopes, expiresAt })
}
