import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import { beforeEach, describe, expect, test } from 'vitest'
import type { UnitPrices } from '../../../src/claude/prices/prices.ts'
import type { BudgetPeriod, StoredLimit } from '../../../src/repositories/billing/budgets.ts'
import { periodsAt } from '../../../src/repositories/billing/periods.ts'
import { createRepositories } from '../../../src/repositories/index.ts'
import type { NewTurn } from '../../../src/repositories/turns/start-turns.ts'
import {
  Budgets,
  budgetExceeded,
  effectiveLimits,
  type Limit,
  type Limits,
  loweredWarning,
  usedWarnings,
  WARN_FROM_PERCENT,
} from '../../../src/services/billing/budgets.ts'
import { bareEnd, bareTurn, insertUser } from '../../support/bare-turns.ts'
import { describeDatabases } from '../../support/databases.ts'
import { lockWaiters } from '../../support/lock-waiters.ts'
import { ownDatabase } from '../../support/own-database.ts'

const NOW = new Date('2026-11-22T10:00:00Z')
const NONE: Limit = { nanoUsd: null, tokens: null }
const PERIODS = ['day', 'month'] as const
const MIN_USEFUL_TOKENS = 256
const ALL = 'everything' as const

const limits = (day: Partial<Limit>, month: Partial<Limit> = {}): Limits => ({
  day: { ...NONE, ...day },
  month: { ...NONE, ...month },
})
const priced = (input: number, output: number): UnitPrices => ({
  input,
  output,
  cacheWrite5m: Math.ceil(input * 1.25),
  cacheWrite1h: input * 2,
  cacheRead: Math.floor(input / 10),
})
const worstCase = (inputTokens: number, maxTokens: number, unitPrices: UnitPrices | null) => ({
  inputTokens,
  maxTokens,
  unitPrices,
})

describe('whose limit counts', () => {
  const anyLimit: fc.Arbitrary<Limit> = fc.record({
    nanoUsd: fc.option(fc.bigInt({ min: 0n, max: 10n ** 15n })),
    tokens: fc.option(fc.nat()),
  })
  const stored = (period: BudgetPeriod, setBy: 'admin' | 'user', limit: Limit): StoredLimit => ({
    ...{ period, setBy, covers: 'own_key', ...limit },
  })
  const least = <T extends bigint | number>(...all: (T | null)[]): T | null =>
    all.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null)

  test("an admin's replaces the default, in both directions; one's own only lowers", () => {
    const given = { day: anyLimit, month: anyLimit }
    const some = fc.record(given, { requiredKeys: [] })
    const property = fc.property(fc.record(given), some, some, (defaults, admin, own) => {
      const rows = PERIODS.flatMap((period) => [
        ...(admin[period] ? [stored(period, 'admin', admin[period])] : []),
        ...(own[period] ? [stored(period, 'user', own[period])] : []),
      ])
      const { ownKey: effective, everything } = effectiveLimits(defaults, rows)
      expect(everything).toEqual({ day: NONE, month: NONE })
      for (const period of PERIODS) {
        const base = admin[period] ?? defaults[period]
        expect(effective[period]).toEqual({
          nanoUsd: least(base.nanoUsd, own[period]?.nanoUsd ?? null),
          tokens: least(base.tokens, own[period]?.tokens ?? null),
        })
      }
    })
    fc.assert(property)
  })

  test('an admin may lift the default, and then the own cap is all there is', () => {
    const defaults = limits({ tokens: 10 })
    expect(effectiveLimits(defaults, [stored('day', 'admin', NONE)]).ownKey.day).toEqual(NONE)
    const own = stored('day', 'user', { nanoUsd: 5n, tokens: 99 })
    expect(effectiveLimits(defaults, [own]).ownKey.day).toEqual({ nanoUsd: 5n, tokens: 10 })
    const both = [stored('day', 'admin', NONE), own]
    expect(effectiveLimits(defaults, both).ownKey.day).toEqual({ nanoUsd: 5n, tokens: 99 })
  })

  test('one that covers everything is apart from what the own key pays', () => {
    const defaults = limits({ tokens: 10 })
    const admin = { ...stored('day', 'admin', { nanoUsd: 7n, tokens: null }), covers: ALL }
    const own = stored('day', 'user', { nanoUsd: 5n, tokens: null })
    const { ownKey, everything } = effectiveLimits(defaults, [admin, own])
    expect(ownKey.day).toEqual({ nanoUsd: 5n, tokens: null })
    expect(everything.day).toEqual({ nanoUsd: 7n, tokens: null })
  })

  test('what was given is raised for now, and no limit is made of a raise', () => {
    const raise = { period: 'day', setBy: 'raise', covers: 'own_key', tokens: null } as const
    const granted = (nanoUsd: bigint) => ({ ...raise, nanoUsd })
    const defaults = limits({ nanoUsd: 10n, tokens: 3 })
    const raised = effectiveLimits(defaults, [granted(20n), granted(4n)]).ownKey
    expect(raised).toEqual({ day: { nanoUsd: 20n, tokens: 3 }, month: NONE })
    const none = effectiveLimits(limits({ tokens: 3 }), [granted(20n)]).ownKey
    expect(none.day).toEqual({ nanoUsd: null, tokens: 3 })
  })
})

describeDatabases('a budget', (kind) => {
  const database = ownDatabase(kind)
  let userId: string

  beforeEach(newUser)

  async function newUser() {
    userId = await insertUser(database.db)
  }

  const withLimits = (
    defaults: Limits,
    unpricedModels: 'refuse' | 'allow' = 'refuse',
    connection: { sessionId: string; limitNanoUsd: bigint | null } | null = null,
  ) => {
    const budgets = new Budgets({ defaults, unpricedModels })
    const repositories = createRepositories(database.db)
    return {
      /** By beginning a turn of a conversation of its own. */
      async reserve(worst: WorstCase, at = NOW): Promise<Reserved> {
        const stored = await repositories.budgets.listLimits(userId)
        const limits = budgets.limitsOf({ limits: stored, connection })
        const sender = {
          userId,
          sessionId: connection?.sessionId ?? userId,
          isCapped: connection !== null,
        }
        const asked = { limits, periods: periodsAt(at), worst: budgets.costOf(worst, limits) }
        const turn = { ...bareTurn(userId), ...sender, ...asked }
        const verdict = await repositories.turnBeginnings.begin(turn)
        if (verdict.outcome === 'spent' || verdict.outcome === 'held') {
          throw budgetExceeded(verdict.limited, at)
        }
        if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
        const { maxTokens, nanoUsd, tokens } = verdict
        const isLowered = maxTokens < worst.maxTokens
        const warnings = isLowered ? [loweredWarning(worst.maxTokens, maxTokens, limits)] : []
        return { turn, maxTokens, warnings, reservation: { nanoUsd, tokens } }
      },
      async settle({ turn, reservation }: Reserved, spent: { nanoUsd: bigint; tokens: number }) {
        const ended = await repositories.turnEndings.end({
          ...bareEnd(turn, reservation),
          spent,
          leastPercent: WARN_FROM_PERCENT,
        })
        return ended && usedWarnings(ended.used)
      },
      status: async (at = NOW) => {
        const [day, month] = await budgets.status(repositories, userId, at)
        if (!day || !month) throw new Error('a period is missing')
        return { day, month }
      },
    }
  }

  const anyOperation = fc.record({
    inputTokens: fc.nat(2000),
    maxTokens: fc.integer({ min: 1, max: 4000 }),
    input: fc.nat(5000),
    output: fc.nat(20_000),
    isPriced: fc.boolean(),
    /** Of what was reserved, what is spent; null: it still runs. */
    share: fc.option(fc.integer({ min: 0, max: 100 })),
  })
  const anyLimits = fc.record({
    nanoUsd: fc.option(fc.bigInt({ min: 0n, max: 150_000_000n }), { freq: 5 }),
    tokens: fc.option(fc.nat(20_000), { freq: 5 }),
  })

  test('never lets spent and reserved exceed a limit, and gives away all that fits', async () => {
    const anyRun = fc.array(anyOperation, { minLength: 4, maxLength: 10 })
    const everything = fc.asyncProperty(anyLimits, anyLimits, anyRun, async (day, month, run) => {
      await newUser()
      const budget = withLimits({ day, month }, 'allow')
      const taken = { nanoUsd: 0n, tokens: 0 }
      for (const { inputTokens, maxTokens, input, output, isPriced, share } of run) {
        const worst = worstCase(inputTokens, maxTokens, isPriced ? priced(input, output) : null)
        const most = longestThatFits([day, month], taken, worst)
        const least = Math.min(MIN_USEFUL_TOKENS, maxTokens)
        const reserving = budget.reserve(worst)
        if (most < least) {
          await expect(reserving).rejects.toMatchObject({ code: 'budget_exceeded' })
        } else {
          const reserved = await reserving
          expect(reserved.maxTokens).toBe(Math.min(maxTokens, most))
          expect(reserved.warnings).toHaveLength(most < maxTokens ? 1 : 0)
          const { nanoUsd, tokens } = reserved.reservation
          expect({ nanoUsd: BigInt(nanoUsd), tokens }).toEqual(
            costOf(worst, Math.min(maxTokens, most)),
          )
          const kept = share === null ? 100n : BigInt(share)
          const spent = {
            nanoUsd: (BigInt(nanoUsd) * kept) / 100n,
            tokens: Math.floor((tokens * Number(kept)) / 100),
          }
          if (share !== null) await budget.settle(reserved, spent)
          taken.nanoUsd += spent.nanoUsd
          taken.tokens += spent.tokens
        }
        const status = await budget.status()
        for (const period of PERIODS) {
          const { spent, reserved, limit } = status[period]
          const sum = {
            nanoUsd: spent.nanoUsd + reserved.nanoUsd,
            tokens: spent.tokens + reserved.tokens,
          }
          expect(sum).toEqual(taken)
          if (limit.nanoUsd !== null) expect(sum.nanoUsd).toBeLessThanOrEqual(limit.nanoUsd)
          if (limit.tokens !== null) expect(sum.tokens).toBeLessThanOrEqual(limit.tokens)
        }
      }
    })
    await fc.assert(everything, { numRuns: 25, endOnFailure: true })
  })

  test('gives competing calls exactly what there is', async () => {
    const budget = withLimits(limits({ tokens: 10_000 }))
    const attempts = Array.from({ length: 40 }, () => budget.reserve(worstCase(744, 256, null)))
    const ended = await Promise.allSettled(attempts)
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
    expect((await budget.status()).day.reserved.tokens).toBe(10_000)
  })

  test('is settled by many at once, and nothing stays reserved', async () => {
    const budget = withLimits(limits({}))
    const calls = Array.from({ length: 150 }, async () => {
      const reserved = await budget.reserve(worstCase(50, 50, priced(1, 1)))
      await budget.settle(reserved, { nanoUsd: 60n, tokens: 60 })
    })
    await Promise.all(calls)
    expect((await budget.status()).month).toMatchObject({
      spent: { nanoUsd: 9000n, tokens: 9000 },
      reserved: { nanoUsd: 0n, tokens: 0 },
    })
  })

  // The embedded database has one session, and nobody to wait for.
  const onServer = kind === 'postgresql' ? test : () => {}
  onServer('locks its day before its month: no two calls wait for each other', async () => {
    const { db } = database
    const budget = withLimits(limits({}))
    const reserved = await budget.reserve(worstCase(50, 50, null))
    // Deleted and inserted again, the day comes after the month in the table.
    const days = db.deleteFrom('spending').where('userId', '=', userId).where('period', '=', 'day')
    await db
      .insertInto('spending')
      .values(await days.returningAll().execute())
      .execute()
    const ofUser = sql`from spending where user_id = ${userId}::uuid and period =`
    const settling = await db.transaction().execute(async (tx) => {
      await sql`select ${ofUser} 'day' for update`.execute(tx)
      const settled = budget.settle(reserved, { nanoUsd: 0n, tokens: 10 })
      await expect.poll(() => lockWaiters(db)).toBe(1)
      await sql`select ${ofUser} 'month' for update nowait`.execute(tx)
      return { settled }
    })
    await settling.settled
    expect((await budget.status()).month.reserved.tokens).toBe(0)
  })

  test('lowers max_tokens to what fits, down to 256 tokens, and says so', async () => {
    const budget = withLimits(limits({ tokens: 1000 }))
    const first = await budget.reserve(worstCase(100, 4096, null))
    expect(first.maxTokens).toBe(900)
    expect(first.warnings).toEqual([
      'max_tokens was lowered from 4096 to 900: more does not fit into what is left of your budget.',
    ])
    await budget.settle(first, { nanoUsd: 0n, tokens: 645 })
    const refused = budget.reserve(worstCase(100, 4096, null))
    await expect(refused).rejects.toMatchObject({ code: 'budget_exceeded' })
    expect((await budget.reserve(worstCase(99, 4096, null))).maxTokens).toBe(256)
  })

  test('a short answer needs only as much as it asks for', async () => {
    const budget = withLimits(limits({ tokens: 50 }))
    expect((await budget.reserve(worstCase(30, 20, null))).warnings).toEqual([])
    await expect(budget.reserve(worstCase(0, 1, null))).rejects.toThrow(/does not fit/)
  })

  test('a refused call leaves nothing behind', async () => {
    const budget = withLimits(limits({ nanoUsd: 1000n }))
    await expect(budget.reserve(worstCase(10, 4096, priced(2000, 10_000)))).rejects.toThrow()
    const { day, month } = await budget.status()
    for (const { reserved } of [day, month]) expect(reserved).toEqual({ nanoUsd: 0n, tokens: 0 })
  })

  test('an answer that costs nothing fits into any budget in USD', async () => {
    const budget = withLimits(limits({ nanoUsd: 10n }))
    const { maxTokens, warnings } = await budget.reserve(worstCase(10, 4096, priced(0, 0)))
    expect({ maxTokens, warnings }).toEqual({ maxTokens: 4096, warnings: [] })
  })

  describe('refused, says until when', () => {
    const LATE = new Date('2026-12-31T23:59:58.500Z')
    test.each<[string, Limits, Date, string, string, number]>([
      ['the day', limits({ tokens: 9 }), NOW, 'day', '2026-11-23', 14 * 3600],
      ['the month', limits({}, { tokens: 9 }), NOW, 'month', '2026-12-01', 86_400],
      ['both', limits({ tokens: 9 }, { tokens: 9 }), NOW, 'month', '2026-12-01', 86_400],
      // Of the month only the full max_tokens does not fit: tomorrow there is room.
      ['the day alone', limits({ tokens: 9 }, { tokens: 1000 }), NOW, 'day', '2026-11-23', 50_400],
      ['the year ends', limits({ tokens: 9 }), LATE, 'day', '2027-01-01', 2],
      ['and the month', limits({}, { nanoUsd: 0n }), LATE, 'month', '2027-01-01', 2],
    ])('%s', async (_, defaults, at, period, day, retryAfterSeconds) => {
      const refused = withLimits(defaults).reserve(worstCase(10, 4096, priced(2, 10)), at)
      const resets_at = `${day}T00:00:00.000Z`
      await expect(refused).rejects.toMatchObject({
        code: 'budget_exceeded',
        retryAfterSeconds,
        details: { period, resets_at },
      })
      await expect(refused).rejects.toThrow(`for this ${period}. It resets at ${resets_at}`)
    })
  })

  describe('a model without a known price', () => {
    const unpriced = worstCase(10, 300, null)
    test('is refused under a budget in USD', async () => {
      for (const defaults of [
        limits({ nanoUsd: 10n ** 12n }),
        limits({}, { nanoUsd: 10n ** 12n }),
      ]) {
        const refused = withLimits(defaults).reserve(unpriced)
        await expect(refused).rejects.toMatchObject({ code: 'model_price_unknown' })
      }
    })
    test('is held to the limit in tokens alone when it is allowed', async () => {
      const budget = withLimits(limits({ nanoUsd: 0n, tokens: 320 }), 'allow')
      expect((await budget.reserve(unpriced)).reservation).toMatchObject({
        nanoUsd: 0n,
        tokens: 310,
      })
      await expect(budget.reserve(unpriced)).rejects.toMatchObject({ code: 'budget_exceeded' })
    })
    test('needs no price without a budget in USD', async () => {
      expect((await withLimits(limits({ tokens: 310 })).reserve(unpriced)).maxTokens).toBe(300)
    })
  })

  describe('warns whoever has spent', () => {
    test.each([
      [49, []],
      // It reaches half of the limit, which is said once.
      [74, ['You have used 74 % of your budget for this day.']],
      [75, ['You have used 75 % of your budget for this day.']],
      [94, ['You have used 94 % of your budget for this day.']],
      [95, ['You have used 95 % of your budget for this day.']],
      [100, ['You have used 100 % of your budget for this day.']],
    ])('%d %%', async (percent, warnings) => {
      const inTokens = withLimits(limits({ tokens: 1000 }))
      const reserved = await inTokens.reserve(worstCase(500, 500, null))
      const spent = { nanoUsd: 0n, tokens: percent * 10 }
      expect(await inTokens.settle(reserved, spent)).toEqual(warnings)

      await newUser()
      const inUsd = withLimits(limits({}, { nanoUsd: 10n ** 15n }))
      const dear = await inUsd.reserve(worstCase(0, 1, priced(1, 1)))
      const cost = { nanoUsd: BigInt(percent) * 10n ** 13n, tokens: 1 }
      expect(await inUsd.settle(dear, cost)).toEqual(
        warnings.map((warning) => warning.replace('day', 'month')),
      )
    })

    test('not of what is only reserved', async () => {
      const budget = withLimits(limits({ tokens: 1000 }))
      const small = await budget.reserve(worstCase(0, 10, null))
      await budget.reserve(worstCase(0, 980, null))
      expect(await budget.settle(small, { nanoUsd: 0n, tokens: 10 })).toEqual([])
    })
  })

  test('an answer is paid by the day it began on', async () => {
    const budget = withLimits(limits({ tokens: 1000 }, { tokens: 2000 }))
    const lastMoment = new Date('2026-11-22T23:59:59.999Z')
    const tomorrow = new Date('2026-11-23T00:00:00.000Z')
    const late = await budget.reserve(worstCase(0, 1000, null), lastMoment)
    const next = await budget.reserve(worstCase(0, 600, null), tomorrow)
    expect(next.maxTokens).toBe(600)
    await budget.settle(late, { nanoUsd: 0n, tokens: 800 })
    const today = await budget.status(tomorrow)
    expect(today.day).toMatchObject({ spent: { tokens: 0 }, reserved: { tokens: 600 } })
    expect(today.month).toMatchObject({ spent: { tokens: 800 }, reserved: { tokens: 600 } })
    expect((await budget.status(lastMoment)).day).toMatchObject({
      spent: { tokens: 800 },
      reserved: { tokens: 0 },
      resetsAt: tomorrow,
    })
    await expect(budget.reserve(worstCase(345, 256, null), tomorrow)).rejects.toMatchObject({
      details: { period: 'month' },
    })
  })

  describe('of a connection', () => {
    const DEAR = worstCase(0, 1000, priced(1, 1))
    const spending = (sessionId: string) =>
      database.db
        .selectFrom('connectionSpending')
        .select(['startsOn', 'spentNanoUsd', 'reservedNanoUsd'])
        .where('sessionId', '=', sessionId)
        .execute()

    async function connect(limitNanoUsd: bigint | null) {
      const sessionId = randomUUID()
      const row = { id: sessionId, userId, expiresAt: new Date('2999-01-01'), limitNanoUsd }
      await database.db
        .insertInto('sessions')
        .values({ ...row, kind: 'connection' })
        .execute()
      return { sessionId, limitNanoUsd }
    }

    test('holds beside those of its user, and competing calls get what there is', async () => {
      const connection = await connect(10_000n)
      const capped = withLimits(limits({}), 'refuse', connection)
      const attempts = Array.from({ length: 20 }, () => capped.reserve(DEAR))
      const ended = await Promise.allSettled(attempts)
      expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
      const refused = ended.find(({ status }) => status === 'rejected') as PromiseRejectedResult
      expect(refused.reason).toMatchObject({
        code: 'budget_exceeded',
        message: expect.stringContaining("this connection's own cap for this month"),
        details: { period: 'month', limited_by: 'connection' },
      })
      expect(await spending(connection.sessionId)).toEqual([
        { startsOn: '2026-11-01', spentNanoUsd: '0', reservedNanoUsd: '10000' },
      ])
      // The user's other sessions are not concerned.
      expect((await withLimits(limits({})).reserve(DEAR)).maxTokens).toBe(1000)
    })

    test('lowers max_tokens, is settled with the answer, and warns', async () => {
      const connection = await connect(900n)
      const capped = withLimits(limits({}), 'refuse', connection)
      const reserved = await capped.reserve(DEAR)
      expect(reserved.maxTokens).toBe(900)
      expect(reserved.warnings[0]).toContain("or this connection's cap")
      expect(await capped.settle(reserved, { nanoUsd: 855n, tokens: 1 })).toEqual([
        'This connection has used 95 % of its cap for this month.',
      ])
      expect(await spending(connection.sessionId)).toEqual([
        { startsOn: '2026-11-01', spentNanoUsd: '855', reservedNanoUsd: '0' },
      ])
    })

    test('counts what was spent before there was a cap', async () => {
      const connection = await connect(null)
      const free = withLimits(limits({}), 'refuse', connection)
      await free.settle(await free.reserve(DEAR), { nanoUsd: 800n, tokens: 1 })
      const capped = withLimits(limits({}), 'refuse', { ...connection, limitNanoUsd: 1000n })
      await expect(capped.reserve(DEAR)).rejects.toMatchObject({
        details: { limited_by: 'connection' },
      })
      expect((await capped.reserve(worstCase(0, 200, priced(1, 1)))).maxTokens).toBe(200)
    })

    test('does not outrank a month that is used up', async () => {
      const budgets = limits({}, { nanoUsd: 5n })
      const capped = withLimits(budgets, 'refuse', await connect(5n))
      await expect(capped.reserve(DEAR)).rejects.toThrow(/your budget for this month/)
    })
  })

  test('stored limits count for the next call', async () => {
    const { budgets } = createRepositories(database.db)
    const budget = withLimits(limits({ tokens: 1000 }))
    const put = (setBy: 'admin' | 'user', tokens: number | null) =>
      budgets.putLimit(userId, {
        period: 'day',
        setBy,
        nanoUsd: null,
        tokens,
      })
    const fits = async () => {
      const reserved = await budget.reserve(worstCase(0, 9999, null))
      await budget.settle(reserved, { nanoUsd: 0n, tokens: 0 })
      return reserved.maxTokens
    }
    expect(await fits()).toBe(1000)
    await put('user', 5000)
    expect(await fits()).toBe(1000)
    await put('admin', 3000)
    expect(await fits()).toBe(3000)
    await put('user', 600)
    expect(await fits()).toBe(600)
    await put('admin', null)
    expect(await fits()).toBe(600)
    await budgets.deleteLimit(userId, 'day', 'user')
    expect(await fits()).toBe(9999)
    await budgets.deleteLimit(userId, 'day', 'admin')
    expect(await fits()).toBe(1000)
  })
})

type WorstCase = ReturnType<typeof worstCase>
type Reserved = {
  turn: NewTurn
  maxTokens: number
  warnings: string[]
  reservation: { nanoUsd: bigint; tokens: number }
}

/** Worked out anew, one token at a time being too slow: from the definition, by bisection. */
function longestThatFits(
  all: Limit[],
  taken: { nanoUsd: bigint; tokens: number },
  worst: WorstCase,
): number {
  const fits = (maxTokens: number) =>
    all.every(({ nanoUsd, tokens }) => {
      const cost = costOf(worst, maxTokens)
      const isWithinUsd =
        nanoUsd === null || worst.unitPrices === null || taken.nanoUsd + cost.nanoUsd <= nanoUsd
      return isWithinUsd && (tokens === null || taken.tokens + cost.tokens <= tokens)
    })
  if (!fits(0)) return -1
  let [low, high] = [0, worst.maxTokens + 1]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle
  }
  return low
}

function costOf({ inputTokens, unitPrices }: WorstCase, maxTokens: number) {
  const input = BigInt(unitPrices?.cacheWrite5m ?? 0)
  const output = BigInt(unitPrices?.output ?? 0)
  const nanoUsd = BigInt(inputTokens) * input + BigInt(maxTokens) * output
  return { nanoUsd, tokens: inputTokens + maxTokens }
}
