/** Turns of many that begin or end at one moment share a statement, and nothing else. */

import { randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { beforeAll, expect, test } from 'vitest'
import { createRepositories, type Repositories } from '../../src/repositories/index.ts'
import type { NewTurn } from '../../src/repositories/turns/start-turns.ts'
import { bareEnd, bareTurn, countTransactions, insertUser } from '../support/bare-turns.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const ownReach = (userId: string) => ({ userId, sessionId: userId, readsAll: true })

describeDatabases('turns at one moment', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories

  beforeAll(() => {
    repositories = createRepositories(database.db)
  })

  const newUser = () => insertUser(database.db)
  const newUsers = (count: number) => Promise.all(Array.from({ length: count }, newUser))

  const begin = (turn: NewTurn) => repositories.turnBeginnings.begin(turn)

  /** Of a user whose rows of spending are there. */
  const begun = async (turn: NewTurn) => {
    const verdict = await begin(turn)
    if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
    return { turn, verdict }
  }

  const statusOf = async ({ answerId }: NewTurn) => {
    const row = await database.db
      .selectFrom('messages')
      .select('status')
      .where('id', '=', answerId)
      .executeTakeFirst()
    return row?.status
  }

  const reservedBy = async (userId: string) => {
    const rows = await database.db
      .selectFrom('spending')
      .select(['period', 'reservedTokens'])
      .where('userId', '=', userId)
      .orderBy('period')
      .execute()
    return rows.map(({ reservedTokens }) => Number(reservedTokens))
  }

  const transactionsOf = (turns: readonly NewTurn[]) => countTransactions(database.db, turns)

  test('those of different users begin in one statement, and end in one', async () => {
    const users = await newUsers(5)
    await Promise.all(users.map(async (userId) => begun(bareTurn(userId))))
    const turns = await Promise.all(users.map(async (userId) => begun(bareTurn(userId))))
    const asked = turns.map(({ turn }) => turn)
    expect(await transactionsOf(asked)).toBe(1)
    const ends = turns.map(({ turn, verdict }) =>
      repositories.turnEndings.end(bareEnd(turn, verdict)),
    )
    expect(await Promise.all(ends)).toEqual(
      users.map(() => expect.objectContaining({ used: {}, isAskerLive: true, hasAccess: true })),
    )
    expect(await transactionsOf(asked)).toBe(1)
    expect(await Promise.all(asked.map(statusOf))).toEqual(users.map(() => 'failed'))
  })

  test('each gets its own verdict, and only those that began leave anything', async () => {
    const [ada, bob, cyd, dan, eve, fay] = (await newUsers(6)) as [string, ...string[]] &
      Record<1 | 2 | 3 | 4 | 5, string>
    const busy = (await begun(bareTurn(bob))).turn
    const limit = { nanoUsd: null, tokens: 999 }
    const free = { nanoUsd: null, tokens: null }
    const worst = { ...bareTurn(ada).worst, inputTokens: 100, maxTokens: 900, leastTokens: 900 }
    const turns: NewTurn[] = [
      { ...bareTurn(ada), worst: { ...worst, leastTokens: 1 } },
      { ...bareTurn(bob), opening: null, conversationId: busy.conversationId, messageCount: 2 },
      { ...bareTurn(cyd), worst, limits: { day: free, month: limit, connectionNanoUsd: null } },
      { ...bareTurn(dan), opening: null },
      { ...bareTurn(eve), worst, limits: { day: limit, month: free, connectionNanoUsd: null } },
      // Somebody else's conversation is none.
      { ...bareTurn(fay), opening: null, conversationId: busy.conversationId, messageCount: 2 },
    ]
    expect(await Promise.all(turns.map(begin))).toEqual([
      expect.objectContaining({ outcome: 'begun', maxTokens: 900, nanoUsd: 0n, tokens: 1000 }),
      { outcome: 'busy' },
      { outcome: 'spent', limited: { period: 'month', by: 'user' } },
      { outcome: 'not_found' },
      { outcome: 'spent', limited: { period: 'day', by: 'user' } },
      { outcome: 'not_found' },
    ])
    expect(await Promise.all(turns.map(statusOf))).toEqual(['running', ...Array(5).fill(undefined)])
    expect(await Promise.all([ada, cyd, dan, eve, fay].map(reservedBy))).toEqual([
      [1000, 1000],
      ...Array(4).fill([0, 0]),
    ])
  })

  test('two of one user do not count the same room twice', async () => {
    const user = await newUser()
    const limit = { nanoUsd: null, tokens: 150 }
    const turns = [1, 2, 3].map(() => {
      const turn = bareTurn(user)
      const worst = { ...turn.worst, inputTokens: 10, maxTokens: 90, leastTokens: 90 }
      return { ...turn, worst, limits: { day: limit, month: limit, connectionNanoUsd: null } }
    })
    const outcomes = (await Promise.all(turns.map(begin))).map(({ outcome }) => outcome)
    expect(outcomes.sort()).toEqual(['begun', 'held', 'held'])
    expect(await reservedBy(user)).toEqual([100, 100])
  })

  test('one with the idempotency key of another is refused alone', async () => {
    const users = await newUsers(4)
    await Promise.all(users.map(async (userId) => begun(bareTurn(userId))))
    const [idempotencyHash, requestFingerprint] = [randomBytes(32), randomBytes(32)]
    const marks = { idempotencyHash, requestFingerprint }
    await begun({ ...bareTurn(users[0] as string), ...marks })
    const turns = users.map((userId, index) => ({
      ...bareTurn(userId),
      ...(index === 0 ? marks : {}),
    }))
    const outcomes = (await Promise.all(turns.map(begin))).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['duplicate_key', 'begun', 'begun', 'begun'])
    expect(await Promise.all(turns.map(statusOf))).toEqual([
      undefined,
      'running',
      'running',
      'running',
    ])
  })

  test('of those that end, one that has ended before changes nothing', async () => {
    const users = await newUsers(3)
    const worst = { ...bareTurn('').worst, inputTokens: 10, maxTokens: 90 }
    const turns = await Promise.all(
      users.map(async (userId) => begun({ ...bareTurn(userId), worst })),
    )
    const end = ({ turn, verdict }: (typeof turns)[number]) =>
      repositories.turnEndings.end({
        ...bareEnd(turn, verdict),
        spent: { nanoUsd: 7n, tokens: 40 },
      })
    await end(turns[1] as (typeof turns)[number])
    expect(await Promise.all(turns.map(end))).toEqual([
      expect.objectContaining({ used: {}, isAskerLive: true, hasAccess: true }),
      undefined,
      expect.objectContaining({ used: {}, isAskerLive: true, hasAccess: true }),
    ])
    expect(await Promise.all(users.map(reservedBy))).toEqual(Array(3).fill([0, 0]))
    const spent = await database.db
      .selectFrom('spending')
      .select('spentTokens')
      .where('userId', 'in', users)
      .execute()
    expect(spent.map(({ spentTokens }) => Number(spentTokens))).toEqual(Array(6).fill(40))
  })

  test('what each of them reads is their own', async () => {
    const users = await newUsers(3)
    const turns = await Promise.all(
      users.map(async (userId) => (await begun(bareTurn(userId))).turn),
    )
    const openings = await Promise.all(
      turns.map(({ conversationId }, index) =>
        repositories.turnContexts.find(
          ownReach(users[index] as string),
          index === 2 ? (turns[0] as NewTurn).conversationId : conversationId,
        ),
      ),
    )
    expect(openings.map((opening) => opening?.conversation?.ref.id)).toEqual([
      turns[0]?.conversationId,
      turns[1]?.conversationId,
      undefined,
    ])
    expect(openings.map((opening) => opening?.conversation?.ownerId)).toEqual([
      users[0],
      users[1],
      undefined,
    ])
  })

  // The embedded database has one connection, where nobody waits for a lock.
  if (kind === 'embedded') return

  test('one that waits for a lock waits alone', async () => {
    const users = await newUsers(3)
    await Promise.all(users.map(async (userId) => begun(bareTurn(userId))))
    const [held, ...free] = users.map((userId) => bareTurn(userId)) as [NewTurn, ...NewTurn[]]
    let waiting: Promise<unknown> = Promise.resolve()
    await database.db.transaction().execute(async (tx) => {
      await sql`select from spending where user_id = ${held.userId}::uuid for update`.execute(tx)
      waiting = begin(held)
      const others = await Promise.all(free.map(begin))
      expect(others.map(({ outcome }) => outcome)).toEqual(['begun', 'begun'])
      expect(await statusOf(held)).toBeUndefined()
    })
    expect(await waiting).toMatchObject({ outcome: 'begun' })
  })

  test('leases that are renewed meanwhile wait in order', async () => {
    const users = await newUsers(24)
    const { leases, turnEndings } = repositories
    const replicaId = randomUUID()
    for (let round = 0; round < 20; round++) {
      const turns = await Promise.all(
        users.map(async (userId) => begun({ ...bareTurn(userId), replicaId })),
      )
      const ids = turns.map(({ turn }) => turn.answerId).reverse()
      const renewals = [1, 2, 3, 4].map(() => leases.renew(replicaId, ids, 60))
      const ends = turns.map(({ turn, verdict }) => turnEndings.end(bareEnd(turn, verdict)))
      expect(await Promise.all(ends)).toEqual(
        users.map(() => expect.objectContaining({ used: {}, isAskerLive: true, hasAccess: true })),
      )
      await Promise.all(renewals)
    }
  })
})
