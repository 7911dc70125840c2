/** Reserve, run, settle: a call without a conversation beside turns of one, on one budget. */

import { sql } from 'kysely'
import { beforeEach, expect, test, vi } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { periodsAt } from '../../../src/repositories/billing/periods.ts'
import { createRepositories } from '../../../src/repositories/index.ts'
import type { Limits } from '../../../src/services/billing/budgets.ts'
import type { Forward, StartedCall } from '../../../src/services/billing/call.ts'
import { bareOutcome, bareRequest, callService } from '../../support/bare-calls.ts'
import { bareEnd, bareTurn, insertUser } from '../../support/bare-turns.ts'
import { describeDatabases } from '../../support/databases.ts'
import { ownDatabase } from '../../support/own-database.ts'

const NONE = { nanoUsd: null, tokens: null }
const inTokens = (tokens: number): Limits => ({ day: { nanoUsd: null, tokens }, month: NONE })
const FREE: Limits = { day: NONE, month: NONE }
/** Of a caller who stays. Each has its own: one signal is not made for many listeners. */
const never = () => new AbortController().signal

/** A door that stays shut until it is opened. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

describeDatabases('a metered call', (kind) => {
  const database = ownDatabase(kind)
  const repositories = () => createRepositories(database.db)
  let userId: string
  let caller: { userId: string; sessionId: string }

  beforeEach(async () => {
    userId = await insertUser(database.db)
    caller = { userId, sessionId: userId }
  })

  const startOn = async (
    { service }: ReturnType<typeof callService>,
    request: Parameters<typeof bareRequest>[0],
    forward: Forward,
    signal: AbortSignal = never(),
    isPriced = false,
  ) => {
    const context = await service.context(caller)
    return service.start(caller, context, bareRequest(request, isPriced), forward, signal)
  }

  /** The end of a call that must have been held. */
  const settledOf = async (started: StartedCall) => {
    if (started.outcome !== 'held') throw new Error(started.outcome)
    return started.settled
  }

  const books = async () => {
    const { rows } = await sql<Record<string, number>>`
      select period, reserved_tokens::int as reserved, spent_tokens::int as spent
      from spending where user_id = ${userId}::uuid order by period`.execute(database.db)
    return rows
  }
  const settledBooks = (spent: number) => [
    { period: 'day', reserved: 0, spent },
    { period: 'month', reserved: 0, spent },
  ]

  const ledger = () =>
    database.db
      .selectFrom('ledger')
      .selectAll()
      .where('userId', '=', userId)
      .orderBy('id')
      .execute()

  const isClean = async () => expect(await repositories().ledgerAudit.listDrift()).toEqual([])

  test('is durable before it runs, and in the ledger with all that is known when it ends', async () => {
    const calls = callService(database.db, FREE)
    const seen: unknown[] = []
    const started = await startOn(
      calls,
      { inputTokens: 100, maxTokens: 50 },
      async (held) => {
        seen.push(await repositories().calls.listRunning(), await books())
        expect(calls.running.ids).toEqual([held.callId])
        return bareOutcome(90, 20, { webSearches: 2, stopReason: 'tool_use' })
      },
      never(),
      true,
    )
    expect(await settledOf(started)).toEqual({ used: {}, isAskerLive: true })
    const held = { reserved: 150, spent: 0 }
    expect(seen).toEqual([
      [expect.objectContaining({ id: expect.any(String) })],
      [
        { period: 'day', ...held },
        { period: 'month', ...held },
      ],
    ])
    expect(await books()).toEqual(settledBooks(110))
    expect(await ledger()).toMatchObject([
      {
        source: 'messages',
        callId: started.outcome === 'held' ? started.call.callId : '',
        conversationId: null,
        messageId: null,
        sessionId: userId,
        tag: 'a tag',
        client: 'claude-cli',
        sessionLabel: 'session-1',
        status: 'complete',
        stopReason: 'tool_use',
        speed: 'standard',
        tier: 'standard',
        webSearches: 2,
        maxTokensAsked: 50,
        maxTokensSent: 50,
        msToFirstByte: 3,
        estimated: null,
        costNanoUsd: String(90 * 2000 + 20 * 10_000 + 2 * 10_000_000),
      },
    ])
    expect(await repositories().calls.listRunning()).toEqual([])
    expect(calls.running.ids).toEqual([])
    await isClean()
  })

  test('of several models costs what each of them costs', async () => {
    const calls = callService(database.db, FREE)
    const part = bareOutcome(10, 5)
    const iterations = [
      { model: 'claude-sonnet-5-5', usage: part.usage as never, rate: part.rate },
      { model: 'claude-opus-5-5', usage: part.usage as never, rate: part.rate },
    ]
    const run = async () => bareOutcome(10, 5, { iterations })
    await settledOf(await startOn(calls, { inputTokens: 30, maxTokens: 30 }, run, never(), true))
    const unpriced = [
      ...iterations,
      { ...iterations[0], model: 'claude-next-9' },
    ] as typeof iterations
    const other = async () => bareOutcome(10, 5, { iterations: unpriced })
    await settledOf(await startOn(calls, { inputTokens: 30, maxTokens: 30 }, other, never(), true))
    const [one, two] = await ledger()
    const opus = calls.prices.unitPrices('claude-opus-5-5', 10, new Date())
    const cost = 10 * 2000 + 5 * 10_000 + 10 * (opus?.input ?? 0) + 5 * (opus?.output ?? 0)
    expect(one).toMatchObject({ inputTokens: 20, outputTokens: 10, costNanoUsd: String(cost) })
    expect(two).toMatchObject({ inputTokens: 30, iterations: [{}, {}, { model: 'claude-next-9' }] })
    await isClean()
  })

  test('of 64 at once with room for one, never two run', async () => {
    const calls = callService(database.db, inTokens(150))
    const { open, opened } = gate()
    const leaving = new AbortController()
    let [runs, now, most] = [0, 0, 0]
    const forward: Forward = async () => {
      runs += 1
      now += 1
      most = Math.max(most, now)
      await opened
      await new Promise((resolve) => setImmediate(resolve))
      now -= 1
      return bareOutcome(0, 0, { usage: null })
    }
    const asked = { inputTokens: 50, maxTokens: 100 }
    const first = startOn(calls, asked, forward)
    await vi.waitUntil(() => now === 1)
    const impatient = Array.from({ length: 32 }, () =>
      startOn(calls, asked, forward, leaving.signal),
    )
    const patient = Array.from({ length: 31 }, () => startOn(calls, asked, forward))
    expect((await books())[0]).toMatchObject({ reserved: 150, spent: 0 })
    leaving.abort()
    for (const { outcome } of await Promise.all(impatient)) expect(outcome).toBe('held_by_others')
    open()
    const outcomes = (await Promise.all([first, ...patient])).map(({ outcome }) => outcome)
    await calls.running.untilIdle()
    expect(most).toBe(1)
    expect(runs).toBe(outcomes.filter((outcome) => outcome === 'held').length)
    // Those that waited take what the first one gave back, one after the other.
    expect(runs).toBeGreaterThan(1)
    expect(await books()).toEqual(settledBooks(0))
    await isClean()
  })

  test('that spending leaves no room for is refused for good, with the limit', async () => {
    const calls = callService(database.db, inTokens(100))
    await settledOf(
      await startOn(calls, { inputTokens: 40, maxTokens: 40 }, async () => bareOutcome(40, 40)),
    )
    const asked = { inputTokens: 10, maxTokens: 11, leastTokens: 11 }
    expect(await startOn(calls, asked, neverRuns)).toEqual({
      outcome: 'spent',
      limit: {
        period: 'day',
        by: 'user',
        limitNanoUsd: null,
        limitTokens: 100,
        spentNanoUsd: BigInt(40 * 2000 + 40 * 10_000),
        spentTokens: 80,
        reservedNanoUsd: 0n,
        resetsAt: expect.any(Date),
      },
    })
    const less = await startOn(calls, { ...asked, leastTokens: 5 }, async ({ maxTokens }) =>
      bareOutcome(10, maxTokens),
    )
    expect(less).toMatchObject({ outcome: 'held', call: { maxTokens: 10 } })
    await settledOf(less)
    expect((await books())[0]).toMatchObject({ spent: 100 })
  })

  test('waits for a turn of a conversation that holds the budget, and the other way round', async () => {
    const calls = callService(database.db, inTokens(100))
    const limits = { ...inTokens(100), connectionNanoUsd: null }
    const worst = { ...bareTurn(userId).worst, inputTokens: 10, maxTokens: 90, leastTokens: 90 }
    const turn = { ...bareTurn(userId), worst, limits, periods: periodsAt(new Date()) }
    const begun = await repositories().turnBeginnings.begin(turn)
    if (begun.outcome !== 'begun') throw new Error(begun.outcome)
    const { open, opened } = gate()
    const waiting = startOn(calls, { inputTokens: 10, maxTokens: 90 }, async () => {
      await opened
      return bareOutcome(1, 1)
    })
    await repositories().turnEndings.end(bareEnd(turn, begun))
    const started = await waiting
    expect(started.outcome).toBe('held')
    expect(
      await repositories().turnBeginnings.begin({
        ...bareTurn(userId),
        worst,
        limits,
        periods: turn.periods,
      }),
    ).toEqual({
      outcome: 'held',
      limited: { period: 'day', by: 'user' },
    })
    open()
    await settledOf(started)
  })

  test('that throws is booked with the most that it may have cost', async () => {
    const calls = callService(database.db, FREE)
    const started = await startOn(calls, { inputTokens: 100, maxTokens: 50 }, async () => {
      throw new Error('a fault')
    })
    await settledOf(started)
    const [row] = await ledger()
    expect(row).toMatchObject({
      estimated: 'stream_broken',
      status: 'failed',
      cacheWrite5mTokens: 100,
    })
    expect((await books())[0]).toMatchObject({ reserved: 0, spent: 100 + (row?.outputTokens ?? 0) })
    await isClean()
  })

  test('of an ended session, or of one without the permission, does not run', async () => {
    const calls = callService(database.db, FREE)
    const scopes = sql`array['messages:send']`
    await sql`update sessions set scopes = ${scopes} where id = ${userId}::uuid`.execute(
      database.db,
    )
    const asked = { inputTokens: 1, maxTokens: 1 }
    expect(await startOn(calls, asked, neverRuns)).toEqual({ outcome: 'session_ended' })
    await sql`update sessions set scopes = null, revoked_at = now() where id = ${userId}::uuid`.execute(
      database.db,
    )
    expect(await startOn(calls, asked, neverRuns)).toEqual({ outcome: 'session_ended' })
    expect(await ledger()).toEqual([])
  })

  test('is settled once, however often the database refuses it', async () => {
    const calls = callService(database.db, FREE)
    await sql
      .raw(`create sequence refused_ends; create function refuse_end() returns trigger language plpgsql as $$
        begin
          if nextval('refused_ends') <= 2 then raise exception using errcode = 'XX000'; end if;
          return old;
        end $$;
        create trigger refuse_end before delete on calls for each row execute function refuse_end()`)
      .execute(database.db)
    const started = await startOn(calls, { inputTokens: 9, maxTokens: 9 }, async () =>
      bareOutcome(5, 4),
    )
    await settledOf(started)
    await sql.raw('drop trigger refuse_end on calls').execute(database.db)
    expect(await ledger()).toMatchObject([{ inputTokens: 5, outputTokens: 4, estimated: null }])
    expect(await books()).toEqual(settledBooks(9))
  })

  test('is aborted by its caller, and interrupted by a shutdown, and booked either way', async () => {
    const calls = callService(database.db, FREE)
    const untilStopped: Forward = (_held, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(bareOutcome(7, 1, { status: 'cancelled' })))
      })
    const leaving = new AbortController()
    const asked = { inputTokens: 9, maxTokens: 9 }
    const left = await startOn(calls, asked, untilStopped, leaving.signal)
    leaving.abort()
    await settledOf(left)
    const stopped = await startOn(calls, asked, untilStopped)
    await calls.running.interrupt()
    await settledOf(stopped)
    expect((await ledger()).map(({ status }) => status)).toEqual(['cancelled', 'interrupted'])
    await expect(startOn(calls, asked, neverRuns)).rejects.toMatchObject({ code: 'shutting_down' })
  })

  test('of a dead process is closed once, with the most that it may have cost', async () => {
    const dead = callService(database.db, FREE)
    const { opened } = gate()
    const forward: Forward = async () => {
      await opened
      return bareOutcome(1, 1)
    }
    const started = await startOn(dead, { inputTokens: 100, maxTokens: 5 }, forward)
    expect(started.outcome).toBe('held')
    const [one, two] = [callService(database.db, FREE), callService(database.db, FREE)]
    const id = started.outcome === 'held' ? started.call.callId : ''
    const among = { among: [id] }
    const closed = [one.service.closeOrphans(among), two.service.closeOrphans(among)]
    expect((await Promise.all(closed)).reduce((sum, count) => sum + count)).toBe(1)
    const [row, ...others] = await ledger()
    expect(others).toEqual([])
    expect(row).toMatchObject({
      callId: id,
      source: 'messages',
      estimated: 'process_died',
      status: 'interrupted',
      cacheWrite5mTokens: 100,
      sessionLabel: 'session-1',
    })
    expect((await books())[0]).toMatchObject({ reserved: 0, spent: 100 + (row?.outputTokens ?? 0) })
    await isClean()
  })

  test('of a token with a limit of its own stays within it', async () => {
    const sessionId = newId()
    const expiresAt = new Date(Date.now() + 3_600_000)
    const limitNanoUsd = 1_000_000n
    const row = { id: sessionId, userId, kind: 'personal' as const, expiresAt, limitNanoUsd }
    await database.db.insertInto('sessions').values(row).execute()
    caller = { userId, sessionId }
    const calls = callService(database.db, FREE)
    const asked = { inputTokens: 100, maxTokens: 1000, leastTokens: 10 }
    const started = await startOn(calls, asked, async () => bareOutcome(100, 60), never(), true)
    expect(started).toMatchObject({ outcome: 'held' })
    if (started.outcome === 'held') expect(started.call.maxTokens).toBeLessThan(1000)
    expect((await settledOf(started)).used).toMatchObject({ connection: 80 })
    const refused = await startOn(calls, { ...asked, leastTokens: 100 }, neverRuns, never(), true)
    expect(refused).toMatchObject({
      outcome: 'spent',
      limit: { by: 'connection', limitNanoUsd, spentNanoUsd: 800_000n },
    })
    await isClean()
  })
})

const neverRuns: Forward = async () => {
  throw new Error('it ran without a reservation')
}
