/** What is kept of a user, in bytes, and turns of which nothing is kept. */

import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { migrationFiles } from '../../../src/database/migrations/migration-files.ts'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import {
  createRepositories,
  createTransact,
  type Repositories,
} from '../../../src/repositories/index.ts'
import type { EndingTurn } from '../../../src/repositories/turns/finish-turns.ts'
import type { NewTurn } from '../../../src/repositories/turns/start-turns.ts'
import { bareEnd, bareTurn, insertUser } from '../../support/bare-turns.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'
import { emptySchema } from '../../support/empty-schema.ts'
import { ownDatabase } from '../../support/own-database.ts'

const bytes = (count: number) => Buffer.alloc(count, 1)
const complete = { status: 'complete' as const }
const blank = { title: bytes(1) }

describeDatabases('what is kept of a user', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories
  let userId: string
  beforeAll(() => {
    repositories = createRepositories(database.db)
  })
  beforeEach(async () => {
    userId = await insertUser(database.db)
    await database.db.deleteFrom('forgottenTurns').execute()
  })

  /** Kept, and added up, which have to agree. */
  const kept = async (of = userId) => {
    const { rows } = await sql<{ bytes: string }>`
      select (
        select coalesce(sum(octet_length(title) + coalesce(octet_length(system_prompt), 0)), 0)
        from conversations where user_id = ${of}::uuid
      ) + (
        select coalesce(sum(coalesce(octet_length(content), 0) + coalesce(octet_length(stop_sequence), 0)), 0)
        from messages where user_id = ${of}::uuid and not (role = 'assistant' and status = 'running')
      ) as bytes`.execute(database.db)
    const sum = await repositories.storage.bytes(of)
    expect(sum).toBe(Number(rows[0]?.bytes))
    return sum
  }
  const drifts = async () => {
    const drift = await repositories.ledgerAudit.listDrift()
    return drift.filter(({ what }) => what === 'stored')
  }
  const begin = async (turn: NewTurn) => {
    const verdict = await repositories.turnBeginnings.begin(turn)
    if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
    return verdict
  }
  const ended = async (
    turn: NewTurn,
    end: Partial<EndingTurn['end']>,
    more: Partial<EndingTurn> = {},
  ) => {
    const bare = bareEnd(turn, await begin(turn))
    await repositories.turnEndings.end({ ...bare, end: { ...bare.end, ...end }, ...more })
  }
  const next = (turn: NewTurn, turns: number, more: Partial<NewTurn> = {}): NewTurn => ({
    ...turn,
    opening: null,
    title: null,
    content: bytes(1),
    messageCount: turns * 2,
    userMessageId: newId(),
    answerId: newId(),
    ...more,
  })
  const countOf = () => repositories.conversations.count(userId)
  const total = async () => {
    const { total, rows } = await repositories.conversationLists.list(userId, 'mine', {
      limit: 9,
      offset: 0,
    })
    expect(total).toBe(await countOf())
    return [total, rows.length]
  }

  test('follows every step of a turn', async () => {
    const turn = { ...bareTurn(userId), title: bytes(10), content: bytes(100) }
    const begun = await begin(turn)
    expect(await kept()).toBe(110)
    const checkpoint = { answerId: turn.answerId, content: bytes(5000), tokens: 1 }
    await repositories.leases.saveCheckpoints(turn.replicaId, [checkpoint])
    expect(await kept(), 'what is written so far counts at its end').toBe(110)
    const end = bareEnd(turn, begun)
    await repositories.turnEndings.end({
      ...end,
      end: { ...end.end, ...complete, content: bytes(300), stopSequence: bytes(7) },
      changes: { systemPrompt: bytes(40) },
    })
    expect(await kept()).toBe(110 + 307 + 40)
    await ended(next(turn, 1), complete, { changes: { systemPrompt: null } })
    expect(await kept()).toBe(110 + 307 + 1)
    expect(await drifts()).toEqual([])
    await sql`delete from messages where user_id = ${userId}::uuid and role = 'assistant'`.execute(
      database.db,
    )
    expect(await kept()).toBe(110 + 1)
    await sql`delete from conversations where user_id = ${userId}::uuid`.execute(database.db)
    expect(await kept()).toBe(0)
  })

  test('ends with the user', async () => {
    await ended({ ...bareTurn(userId), content: bytes(100) }, { ...complete, content: bytes(9) })
    await createTransact(database.db)(({ erasure }) => erasure.deleteUser(userId))
    const { rows } = await sql`select from storage where user_id = ${userId}::uuid`.execute(
      database.db,
    )
    expect(rows).toEqual([])
  })

  test('is the sum of many turns of many users that begin and end together', async () => {
    const users = await Promise.all([1, 2, 3, 4].map(() => insertUser(database.db)))
    await Promise.all(
      users.flatMap((user, at) =>
        [1, 2, 3].map((size) =>
          ended(
            { ...bareTurn(user), content: bytes(100 * size + at) },
            { ...complete, content: bytes(size) },
          ),
        ),
      ),
    )
    expect(await Promise.all(users.map((user) => kept(user)))).toEqual(
      users.map((_, at) => 600 + 3 * at + 3 + 6),
    )
  })

  test('a sum that is not what the rows add up to is a drift', async () => {
    await ended({ ...bareTurn(userId), content: bytes(10) }, complete)
    await createTransact(database.db)(({ storage }) => storage.count(userId))
    expect(await drifts()).toEqual([])
    await sql`update storage set bytes = bytes + 1 where user_id = ${userId}::uuid`.execute(
      database.db,
    )
    expect(await drifts()).toMatchObject([
      { where: `user ${userId}`, recorded: '12', recomputed: '11' },
    ])
    await sql`update storage set bytes = 11 where user_id = ${userId}::uuid`.execute(database.db)
  })

  test('has a limit that any number of messages at once keep together', async () => {
    const storage = { newBytes: 100, limitBytes: 1050 }
    const turns = Array.from({ length: 20 }, () => ({
      ...bareTurn(userId),
      title: bytes(0),
      content: bytes(100),
      storage,
    }))
    const verdicts = await Promise.all(turns.map((turn) => repositories.turnBeginnings.begin(turn)))
    const outcomes = verdicts.map(({ outcome }) => outcome)
    // Until the first has made its user's row, another may begin beside it.
    expect(outcomes.filter((outcome) => outcome === 'begun').length).toBeLessThanOrEqual(11)
    expect(outcomes.filter((outcome) => outcome === 'full').length).toBeGreaterThanOrEqual(9)
    expect(await kept()).toBeLessThanOrEqual(1100)
    const other = { ...bareTurn(await insertUser(database.db)), storage }
    expect(await repositories.turnBeginnings.begin(other)).toMatchObject({ outcome: 'begun' })
  })

  describe('a turn of which nothing is kept', () => {
    const rowsOf = async ({ conversationId }: NewTurn) =>
      (
        await repositories.messages.page(conversationId, userId, {
          limit: 100,
          beforePosition: undefined,
          maxBytes: 1e6,
        })
      ).messages.map(({ position, status, content }) => [position, status, content?.length ?? null])
    const age = () =>
      sql`update forgotten_turns set finished_at = now() - interval '25 hours'
        where user_id = ${userId}::uuid`.execute(database.db)
    const deleteOld = () =>
      createTransact(database.db)(({ forgottenTurns }) => forgottenTurns.deleteOld())
    const forgotten = { forgotten: blank }

    test('keeps a row that tells how it ended, until it is a day old', async () => {
      const turn = { ...bareTurn(userId), title: bytes(30), content: bytes(1000), tag: 'a tag' }
      await ended(turn, { errorCode: 'rate_limited' }, forgotten)
      expect(await kept()).toBe(1)
      expect(await total()).toEqual([0, 0])
      expect(await rowsOf(turn)).toEqual([
        [1, 'failed', null],
        [2, 'failed', null],
      ])
      expect(await repositories.answers.find(turn.answerId, userId)).toMatchObject({
        errorCode: 'rate_limited',
      })
      await deleteOld()
      expect(await rowsOf(turn)).toHaveLength(2)
      await age()
      expect(await deleteOld()).toBe(1)
      expect(await repositories.conversations.find(turn.conversationId, userId)).toBe(undefined)
      expect(await kept()).toBe(0)
    })

    test('leaves its conversation as it was, and is gone from it after a day', async () => {
      const turn = { ...bareTurn(userId), content: bytes(10) }
      await ended(turn, { ...complete, content: bytes(1) })
      await ended(next(turn, 1, { content: bytes(50) }), {}, forgotten)
      await ended(next(turn, 2, { content: bytes(20) }), { ...complete, content: bytes(2) })
      expect(await kept()).toBe(1 + 11 + 22)
      expect(await total()).toEqual([1, 1])
      await age()
      await deleteOld()
      expect(await rowsOf(turn)).toEqual([
        [1, 'complete', 10],
        [2, 'complete', 1],
        [5, 'complete', 20],
        [6, 'complete', 2],
      ])
      expect(await repositories.conversations.find(turn.conversationId, userId)).toMatchObject({
        messageCount: 4,
      })
      expect(await repositories.exports.countMessages(userId)).toBe(4)
      await ended(next(turn, 3), { ...complete, content: bytes(1) })
      expect(await kept()).toBe(1 + 11 + 22 + 2)
    })

    test('hides its conversation only while there is no other, and shows it again', async () => {
      const turn = { ...bareTurn(userId), title: bytes(30) }
      await ended(turn, {}, forgotten)
      await ended(next(turn, 1, { title: bytes(20) }), {}, forgotten)
      expect(await total()).toEqual([0, 0])
      const third = next(turn, 2, { title: bytes(25) })
      const begun = await begin(third)
      expect(await total(), 'while it is being answered').toEqual([1, 1])
      const end = bareEnd(third, begun)
      await repositories.turnEndings.end({ ...end, end: { ...end.end, ...complete } })
      expect(await total()).toEqual([1, 1])
      expect(await kept()).toBe(25 + 1)
      await ended(next(turn, 3), {}, forgotten)
      expect(await total()).toEqual([1, 1])
    })

    test('is left alone while its conversation is answered', async () => {
      const turn = bareTurn(userId)
      await ended(turn, {}, forgotten)
      await age()
      const second = next(turn, 1, { title: bytes(1) })
      const begun = await begin(second)
      expect(await deleteOld()).toBe(0)
      await repositories.turnEndings.end({ ...bareEnd(second, begun), forgotten: blank })
      expect(await deleteOld()).toBe(1)
      expect(await rowsOf(turn)).toEqual([
        [3, 'failed', null],
        [4, 'failed', null],
      ])
    })

    test('many are deleted in steps, whosever they are', async () => {
      const users = await Promise.all([1, 2, 3].map(() => insertUser(database.db)))
      await Promise.all(
        users.flatMap((user) => [1, 2].map(() => ended(bareTurn(user), {}, forgotten))),
      )
      await sql`update forgotten_turns set finished_at = now() - interval '2 days'`.execute(
        database.db,
      )
      const both = await Promise.all([deleteOld(), deleteOld()])
      expect(both.reduce((sum, deleted) => sum + deleted, 0) + (await deleteOld())).toBe(6)
      for (const user of users) expect(await repositories.storage.bytes(user)).toBe(0)
    })
  })
})

const STORAGE = '0009_storage'

describeDatabases('a database that had no sums of bytes', (kind) => {
  let fresh: FreshDatabase
  let database: Database
  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    await emptySchema(database.db)
    await migrate((name) => name < STORAGE)
  })
  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  const migrate = async (wanted: (name: string) => boolean) => {
    for (const [name, text] of migrationFiles()) {
      if (wanted(name)) await sql.raw(text.replaceAll('concurrently', '')).execute(database.db)
    }
  }

  /** A turn as older builds wrote it. @returns the conversation's id. */
  const insertTurn = async (userId: string, status: string, isBilled: boolean) => {
    const [conversation, answer] = [randomUUID(), randomUUID()]
    await sql`insert into conversations (id, user_id, data_key, title, system_prompt, model, message_count)
      values (${conversation}, ${userId}, '', ${bytes(10)}, ${bytes(5)}, 'm', 2)`.execute(
      database.db,
    )
    for (const [position, role, id] of [
      [1, 'user', randomUUID()],
      [2, 'assistant', answer],
    ] as const) {
      await sql`insert into messages
          (id, conversation_id, user_id, position, role, status, content, model, finished_at)
        values (${id}, ${conversation}, ${userId}, ${position}, ${role}, ${status}, ${bytes(100)},
          'm', now() - interval '3 days')`.execute(database.db)
    }
    if (isBilled) {
      await sql`insert into ledger (user_id, conversation_id, message_id, model, input_tokens,
          cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, output_tokens,
          thinking_tokens)
        values (${userId}, ${conversation}, ${answer}, 'm', 1, 0, 0, 0, 1, 0)`.execute(database.db)
    }
    return conversation
  }

  test('has them soon, exactly, also of what an older build writes meanwhile', async () => {
    const [ada, eve] = [await insertUser(database.db), await insertUser(database.db)]
    const delivered = await insertTurn(ada, 'complete', true)
    const broken = await insertTurn(ada, 'failed', true)
    const unbilled = await insertTurn(ada, 'failed', false)
    await insertTurn(eve, 'complete', true)
    await migrate((name) => name >= STORAGE)
    const { storage, conversations } = createRepositories(database.db)
    const transact = createTransact(database.db)
    const later = await insertTurn(ada, 'complete', true)
    const uncounted = await storage.listUncounted(10)
    expect(uncounted.toSorted()).toEqual([ada, eve].toSorted())
    await Promise.all([
      ...uncounted.map((userId) => transact((tx) => tx.storage.count(userId))),
      insertTurn(eve, 'complete', true),
      transact((tx) => tx.storage.count(ada)),
    ])
    expect([await storage.bytes(ada), await storage.bytes(eve)]).toEqual([4 * 215, 2 * 215])
    expect(await storage.listUncounted(10)).toEqual([])

    expect(await transact((tx) => tx.forgottenTurns.deleteOld())).toBe(1)
    expect(await storage.bytes(ada)).toBe(3 * 215)
    for (const id of [delivered, broken, later]) {
      expect(await conversations.find(id, ada)).toMatchObject({ messageCount: 2 })
    }
    expect(await conversations.find(unbilled, ada)).toBe(undefined)
    expect(await conversations.count(ada)).toBe(3)
  })
})
