/** The end of a turn, written twice, or after somebody else has closed it. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ClaudeOutcome } from '../../src/claude/client.ts'
import { loadPriceTable } from '../../src/claude/prices/prices.ts'
import { HeavyReads } from '../../src/concurrency/heavy-reads.ts'
import { newId } from '../../src/crypto/random.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { migrateToLatest } from '../../src/database/migrations/migrate.ts'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { createLogger } from '../../src/log.ts'
import { createRepositories } from '../../src/repositories/index.ts'
import { ALL_SCOPES } from '../../src/services/access/scopes.ts'
import { Budgets, UNLIMITED } from '../../src/services/billing/budgets.ts'
import { Releases } from '../../src/services/billing/releases.ts'
import { INTERRUPTED } from '../../src/services/billing/running-calls.ts'
import { ConversationOpening } from '../../src/services/conversations/history/conversation-context.ts'
import { HistoryReading } from '../../src/services/conversations/history/history-reading.ts'
import { Vault } from '../../src/services/keys/vault.ts'
import { AnswerNotices } from '../../src/services/turns/answers/answer-events.ts'
import {
  type RunningAnswer,
  RunningAnswers,
} from '../../src/services/turns/answers/running-answers.ts'
import { TurnEnding } from '../../src/services/turns/finish-turn.ts'
import { Orphans } from '../../src/services/turns/orphans.ts'
import type { SendResult } from '../../src/services/turns/receipt.ts'
import { SendMemory } from '../../src/services/turns/remembered/send-memory.ts'
import { TurnBeginning } from '../../src/services/turns/start-turn.ts'
import type { SendInput, StartedTurn } from '../../src/services/turns/turn.ts'
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
  rate: { geo: 'anywhere', isFast: false },
  requestId: 'req_1',
  model: 'claude-sonnet-5-5',
  error: null,
  warnings: [],
  upstreamMs: 1,
}

const PREPARED = {
  marks: undefined,
  payer: { isNamed: false, conversationPayer: null },
  paidBy: { kind: 'own' as const, keyLastFour: '1234' },
}

describeDatabases('the end of a turn', (kind) => {
  let fresh: FreshDatabase
  let database: Database
  let beginning: TurnBeginning
  let ending: TurnEnding
  let running: RunningAnswers
  let orphans: Orphans
  let turn: StartedTurn
  const userId = newId()
  const passwordSession = { id: newId(), userId, expiresAt: new Date(Date.now() + 3_600_000) }

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    await migrateToLatest(database.db, database.kind)
    const vault = new Vault(new KeyRing(randomBytes(32)))
    const { wrapped: dataKey } = vault.createUserKey(userId)
    const names = { username: 'ada', usernameKey: 'ada', email: 'a@b.c', emailKey: 'a@b.c' }
    await repositories().users.insert({ id: userId, ...names, passwordHash: '-', dataKey })
    await repositories().sessions.insert(passwordSession)
    const prices = loadPriceTable(undefined)
    const none = { nanoUsd: null, tokens: null }
    const budgets = new Budgets({ defaults: { day: none, month: none }, unpricedModels: 'refuse' })
    const memory = new SendMemory(0)
    beginning = new TurnBeginning({
      repositories: repositories(),
      conversations: new ConversationOpening({
        vault,
        defaultModel: 'claude-sonnet-5-5',
        retiredModels: 'refuse',
      }),
      histories: new HistoryReading({
        repositories: repositories(),
        heavyReads: new HeavyReads(),
      }),
      prices,
      budgets,
      budgetAlerts: { noteStop: async () => {} },
      replicaId: newId(),
      leaseSeconds: 15,
      defaultMaxTokens: 100,
      maxMessagesSent: 10,
      maxStoredBytes: null,
      warnHistoryTokens: 50_000,
      refusals: {
        of: async () => {
          throw new Error('nothing is limited here')
        },
      },
      releases: new Releases(),
      memory,
    })
    const notices = new AnswerNotices({ repositories: repositories(), isOnlyProcess: false })
    ending = new TurnEnding({ repositories: repositories(), prices, notices, memory })
    running = new RunningAnswers()
    const log = createLogger('silent')
    const limits = { find: async () => UNLIMITED }
    orphans = new Orphans({ repositories: repositories(), ending, limits, vault, running, log })
  })
  beforeEach(async () => {
    turn = await begin({ message: 'a question', thinking: 'off' })
  })
  afterAll(async () => {
    await database.close()
    await fresh.drop()
  })

  const repositories = () => createRepositories(database.db)
  const begin = async (input: SendInput, sessionId = passwordSession.id) => {
    const kind = 'password' as const
    const sender = { userId, username: 'ada', sessionId, kind, scopes: ALL_SCOPES }
    const context = await beginning.read(sender, input)
    const begun = await beginning.begin(sender, input, PREPARED, context, async () => null)
    if (typeof begun === 'string') throw new Error('a turn without a key has none of another')
    return begun
  }
  const finish = () => ending.finish(turn, OUTCOME, { durationMs: 2, stopReason: undefined }, [])
  const stored = async () => ({
    answer: await database.db
      .selectFrom('messages')
      .selectAll()
      .where('id', '=', turn.answerId)
      .executeTakeFirstOrThrow(),
    booked: await database.db
      .selectFrom('ledger')
      .select(['outputTokens', 'estimated'])
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

  test('after it was closed is an error, and stays booked once, as an estimate', async () => {
    expect(await orphans.close('all')).toBe(1)
    for (let tries = 0; tries < 2; tries++) {
      await expect(finish()).rejects.toMatchObject({ code: 'interrupted' })
    }
    expect(await stored()).toMatchObject({
      answer: { status: 'interrupted', content: null, result: null, reservation: null },
      booked: [
        { outputTokens: expect.toSatisfy((tokens) => tokens > 0), estimated: 'process_died' },
      ],
      conversation: { runningMessageId: null, messageCount: 2 },
    })
    expect(await repositories().ledgerAudit.listDrift()).toEqual([])
  })

  test("after it was closed has cost what it may have cost, of its connection's cap too", async () => {
    const connection = {
      id: newId(),
      userId,
      kind: 'connection' as const,
      limitNanoUsd: '1000000000',
      expiresAt: new Date('2999-01-01'),
    }
    await database.db.insertInto('sessions').values(connection).execute()
    turn = await begin({ message: 'a question', thinking: 'off' }, connection.id)
    const books = () =>
      database.db
        .selectFrom('connectionSpending')
        .select(['spentNanoUsd', 'reservedNanoUsd'])
        .where('sessionId', '=', connection.id)
        .execute()
    expect(await books()).toEqual([
      { spentNanoUsd: '0', reservedNanoUsd: String(turn.reservation.nanoUsd) },
    ])
    expect(turn.reservation.nanoUsd).toBeGreaterThan(0n)

    await orphans.close('all')
    const cost = await database.db
      .selectFrom('ledger')
      .select(['sessionId', 'costNanoUsd'])
      .where('messageId', '=', turn.answerId)
      .executeTakeFirstOrThrow()
    expect(cost.sessionId).toBe(connection.id)
    expect(Number(cost.costNanoUsd)).toBeGreaterThan(0)
    expect(await books()).toEqual([{ spentNanoUsd: cost.costNanoUsd, reservedNanoUsd: '0' }])
  })

  test('does not free the conversation from the turn that came after', async () => {
    await orphans.close('all')
    const input = {
      message: 'again',
      conversationId: turn.conversationId,
      thinking: 'off' as const,
    }
    const next = await begin(input)
    await expect(finish()).rejects.toMatchObject({ code: 'interrupted' })
    expect((await stored()).conversation.runningMessageId).toBe(next.answerId)
  })

  test('is left to whoever has it in hand, however old its lease', async () => {
    await orphans.close('all')
    turn = await begin({ message: 'a question', thinking: 'off' })
    await database.db
      .updateTable('messages')
      .set({ leaseExpiresAt: new Date(0) })
      .execute()
    const inHand = new Promise<SendResult>(() => {})
    running.start(turn.answerId, sealNothing, () => inHand)
    expect(await orphans.close({ among: [turn.answerId] })).toBe(0)
    expect((await stored()).answer.status).toBe('running')
  })
})

const sealNothing = () => ({ content: Buffer.alloc(0), tokens: 0 })

describe('stopping', () => {
  test('waits also for an answer that began while it waited', async () => {
    const running = new RunningAnswers()
    const ends: unknown[] = []
    const untilStopped = async ({ controller: { signal } }: RunningAnswer): Promise<SendResult> => {
      await new Promise((resolve) => signal.addEventListener('abort', () => setImmediate(resolve)))
      ends.push(signal.reason)
      throw signal.reason
    }
    running.start('first', sealNothing, async (answer) => {
      await untilStopped(answer).catch(() => {})
      // Let in before the stop, and only now done with the database.
      running.start('second', sealNothing, untilStopped)
      throw INTERRUPTED
    })
    await running.drain(0)
    expect(ends).toEqual([INTERRUPTED, INTERRUPTED])
    expect(running.ids).toEqual([])
  })
})
