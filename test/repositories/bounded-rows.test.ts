/** Rows that somebody can make for nothing are bounded in number. */

import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { newId } from '../../src/crypto/random.ts'
import { createRepositories, type Repositories } from '../../src/repositories/index.ts'
import { insertUser } from '../support/bare-turns.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const HOUR_MS = 3_600_000
const inHours = (hours: number) => new Date(Date.now() + hours * HOUR_MS)

describeDatabases('rows that cost nothing', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories
  beforeAll(() => {
    repositories = createRepositories(database.db)
  })

  test('sessions: the oldest of a kind end, and are gone a day after they ended', async () => {
    const { sessions } = repositories
    const [ada, eve] = [await insertUser(database.db), await insertUser(database.db)]
    // Each of them comes with a session.
    await database.db.deleteFrom('sessions').where('userId', 'in', [ada, eve]).execute()
    const begin = async (userId: string, sessionKind: 'password' | 'browser', age: number) => {
      const id = newId()
      const times = { createdAt: inHours(-age), expiresAt: inHours(100) }
      await sessions.insert({ id, userId, kind: sessionKind, ...times })
      return id
    }
    const passwords = []
    for (const age of [50, 40, 30, 20]) passwords.push(await begin(ada, 'password', age))
    const browser = await begin(ada, 'browser', 60)
    const other = await begin(eve, 'password', 60)
    await sessions.endExcess(2)
    const live = async (userId: string) => (await sessions.listLive(userId, 99)).map(({ id }) => id)
    expect(await live(ada)).toEqual([...passwords.slice(2).toReversed(), browser])
    expect(await live(eve)).toEqual([other])

    await database.db
      .updateTable('sessions')
      .set({ revokedAt: inHours(-25) })
      .where('id', '=', passwords[0] as string)
      .execute()
    await sessions.deleteEnded()
    const rows = await database.db
      .selectFrom('sessions')
      .select('id')
      .where('userId', '=', ada)
      .execute()
    expect(rows.map(({ id }) => id).toSorted()).toEqual([...passwords.slice(1), browser].toSorted())
  })

  test('links: a further one takes the place of the oldest, of the same user', async () => {
    const { oneTimeLinks } = repositories
    const [ada, eve] = [await insertUser(database.db), await insertUser(database.db)]
    const links = [1, 2, 3, 4].map((hours) => ({
      tokenHash: randomBytes(32),
      userId: ada,
      expiresAt: inHours(hours),
      purpose: 'key' as const,
    }))
    const others = {
      tokenHash: randomBytes(32),
      userId: eve,
      expiresAt: inHours(0.5),
      purpose: 'key' as const,
    }
    await oneTimeLinks.insert(others, 2)
    for (const link of links) await oneTimeLinks.insert(link, 2)
    const good = await Promise.all(
      [...links, others].map(({ tokenHash }) => oneTimeLinks.findUser(tokenHash, 'key')),
    )
    expect(good).toEqual([undefined, undefined, ada, ada, eve])
  })

  test('records of OAuth that nobody has signed in for: the oldest go', async () => {
    const { oauthRecords } = repositories
    const userId = await insertUser(database.db)
    const put = async (age: number, hours: number, more: { userId?: string } = {}) => {
      const key = randomBytes(32)
      const times = { createdAt: inHours(-age), expiresAt: inHours(hours - age) }
      await oauthRecords.put({ model: 'Client', key, sealed: randomBytes(1), ...times, ...more })
      return key
    }
    const unused = [await put(9, 24), await put(8, 24), await put(7, 24)]
    const used = [await put(20, 1000), await put(21, 24, { userId })]
    await oauthRecords.deleteExcess(2)
    const found = await Promise.all(
      [...unused, ...used].map((key) => oauthRecords.find('Client', { key })),
    )
    expect(found.map((record) => record !== undefined)).toEqual([false, true, true, true, true])
  })
})
