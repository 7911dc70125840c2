/** The end of a turn, written twice, or after somebody else has closed it. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ClaudeOutcome } from '../../src/claude/client.ts'
import { loadPriceTable } from '../../src/claude/prices.ts'
import { newId } from '../../src/crypto/random.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { createRepositories, createTransact } from '../../src/repositories/index.ts'
import { INTERRUPTED, RunningAnswers } from '../../src/services/running-answers.ts'
import { type BegunTurn, Turns } from '../../src/services/turns.ts'
import { Vault } from '../../src/services/vault.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'

const OUTCOME: ClaudeOutcome = {
  status: 'complete',
  content: [{ type: 'text', text: 'the answer' }],
  text: 'the answer',
  stopReason: 'end_turn',
  stopSequence: null,
  refusalCategory: null,
  usage: {
    inputTokens: 10,
    cacheWrite5mTokens: 0,
    cacheWrite1hTokens: 0,
    cacheReadTokens: 0,
    outputTokens: 5,
    thinkingTokens: 0,
  },
  usageEstimated: null,
  requestId: 'req_1',
  model: 'claude-sonnet-5-5',
  error: null,
  warnings: [],
  upstreamMs: 1,
  firstTokenMs: 1,
}

describeDatabases('the end of a turn', (kind) => {
  let fresh: FreshDatabase
  let database: Database
  let turns: Turns
  let turn: BegunTurn
  const userId = newId()

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    await migrateToLatest(database.db, database.kind)
    const vault = new Vault(new KeyRing(randomBytes(32)))
    const { wrapped: dataKey } = vault.createUserKey(userId)
    const names = { username: 'ada', usernameKey: 'ada', email: 'a@b.c', emailKey: 'a@b.c' }
    await repositories().users.insert({ id: userId, ...names, passwordHash: '-', dataKey })
    turns = new Turns({
      transact: createTransact(database.db),
      vault,
      prices: loadPriceTable(undefined),
      replicaId: newId(),
      leaseSeconds: 15,
      defaultModel: 'claude-sonnet-5-5',
      defaultMaxTokens: 100,
      retiredModels: 'refuse',
      maxMessagesSent: 10,
    })
  })
  beforeEach(async () => {
    turn = await turns.begin(userId, { message: 'a question', thinking: 'off' }, undefined)
  })
  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  const repositories = () => createRepositories(database.db)
  const finish = () => turns.finish(turn, OUTCOME, { durationMs: 2, stopReason: undefined }, [])
  const stored = async () => ({
    answer: await database.db
      .selectFrom('messages')
      .selectAll()
      .where('id', '=', turn.answerId)
      .executeTakeFirstOrThrow(),
    booked: await database.db
      .selectFrom('ledger')
      .select(['outputTokens', 'costNanoUsd'])
      .where('messageId', '=', turn.answerId)
      .execute(),
    conversation: await database.db
      .selectFrom('conversations')
      .select(['runningMessageId', 'messageCount'])
      .where('id', '=', turn.conversationId)
      .executeTakeFirstOrThrow(),
  })

  test('tried again after a commit that nobody heard of is the same success', async () => {
    const receipt = await finish()
    const before = await stored()
    expect(await finish()).toEqual(receipt)
    expect(await stored()).toEqual(before)
    expect(before).toMatchObject({
      answer: { status: 'complete' },
      booked: [{ outputTokens: 5 }],
      conversation: { runningMessageId: null, messageCount: 2 },
    })
  })

  test('after it was closed is an error, and booked once all the same', async () => {
    expect(await repositories().leases.closeOrphans([], 'all')).toContain(turn.answerId)
    for (let tries = 0; tries < 2; tries++) {
      await expect(finish()).rejects.toMatchObject({ code: 'interrupted' })
    }
    expect(await stored()).toMatchObject({
      answer: { status: 'interrupted', content: null, result: null },
      booked: [{ outputTokens: 5 }],
      conversation: { runningMessageId: null, messageCount: 2 },
    })
  })

  test('does not free the conversation from the turn that came after', async () => {
    await repositories().leases.closeOrphans([], 'all')
    const input = {
      message: 'again',
      conversationId: turn.conversationId,
      thinking: 'off' as const,
    }
    const next = await turns.begin(userId, input, undefined)
    await expect(finish()).rejects.toMatchObject({ code: 'interrupted' })
    expect((await stored()).conversation.runningMessageId).toBe(next.answerId)
  })

  test('is left to whoever has it in hand, however old its lease', async () => {
    await database.db
      .updateTable('messages')
      .set({ leaseExpiresAt: new Date(0) })
      .execute()
    const closed = await repositories().leases.closeOrphans([turn.answerId], 'expired')
    expect(closed).not.toContain(turn.answerId)
    expect(await repositories().leases.closeOrphans([], 'expired')).toEqual([turn.answerId])
  })
})

describe('stopping', () => {
  test('waits also for an answer that began while it waited', async () => {
    const running = new RunningAnswers()
    const { signal } = new AbortController()
    const untilStopped = (answer: AbortSignal) =>
      new Promise<unknown>((resolve) =>
        answer.addEventListener('abort', () => setImmediate(resolve, answer.reason)),
      )
    const ends: unknown[] = []
    const first = running.run('first', signal, async (answer) => {
      ends.push(await untilStopped(answer))
      // Let in before the stop, and only now done with the database.
      void running.run('second', signal, async (late) => void ends.push(await untilStopped(late)))
    })
    await running.drain(0)
    expect(ends).toEqual([INTERRUPTED, INTERRUPTED])
    expect(running.ids).toEqual([])
    await first
  })
})
