/** Members of one team who begin or end at one moment share a statement, and its pool in their order. */

import fc from 'fast-check'
import { sql } from 'kysely'
import { beforeAll, expect, test } from 'vitest'
import type { StoredTeamPayer } from '../../src/database/schema.ts'
import type { Limit } from '../../src/repositories/billing/budgets.ts'
import { createRepositories, type Repositories } from '../../src/repositories/index.ts'
import type { NewTurn } from '../../src/repositories/turns/start-turns.ts'
import {
  bareEnd,
  bareTurn,
  countTransactions,
  insertTeam,
  insertUser,
} from '../support/bare-turns.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const MEMBERS = 6
const NONE: Limit = { nanoUsd: null, tokens: null }
const DAY = '2026-11-30'
const NEXT_DAY = '2026-12-01'

describeDatabases('members of one team at one moment', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories

  beforeAll(() => {
    repositories = createRepositories(database.db)
  })

  /** With rows of spending for both days. */
  const newTeam = async () => {
    const members = await Promise.all(
      Array.from({ length: MEMBERS }, () => insertUser(database.db)),
    )
    const team = await insertTeam(database.db, members)
    for (const day of [DAY, NEXT_DAY]) {
      for (const userId of members) await begun(turnOf(userId, team, { day, tokens: 0 }))
    }
    return { team, members }
  }

  type Asked = { tokens: number; least?: number; pool?: Limit; day?: string }

  const turnOf = (
    userId: string,
    team: StoredTeamPayer,
    { tokens, least = tokens, pool = NONE, day = DAY }: Asked,
  ): NewTurn => {
    const turn = bareTurn(userId)
    const limits = { pool: { day: NONE, month: pool }, member: { day: NONE, month: NONE } }
    return {
      ...turn,
      team,
      periods: { day, month: `${day.slice(0, 7)}-01` },
      limits: { ...turn.limits, team: limits },
      worst: { ...turn.worst, maxTokens: tokens, leastTokens: least },
    }
  }

  const begin = (turn: NewTurn) => repositories.turnBeginnings.begin(turn)

  const begun = async (turn: NewTurn) => {
    const verdict = await begin(turn)
    if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
    return { turn, verdict }
  }

  const end = async ({ turn, verdict }: Awaited<ReturnType<typeof begun>>, tokens: number) => {
    const ending = bareEnd(turn, verdict)
    const ended = await repositories.turnEndings.end({
      ...ending,
      ...{ limits: turn.limits, leastPercent: 75, spent: { nanoUsd: 0n, tokens } },
    })
    return ended?.used
  }

  const poolOf = async ({ teamId }: StoredTeamPayer) => {
    const rows = await database.db
      .selectFrom('teamSpending')
      .select(['period', 'reservedTokens', 'spentTokens'])
      .select(sql<string>`to_char(starts_on, 'YYYY-MM-DD')`.as('startsOn'))
      .where('teamId', '=', teamId)
      .orderBy('startsOn')
      .orderBy('period')
      .execute()
    return rows.map(({ period, startsOn, reservedTokens, spentTokens }) => [
      `${period} ${startsOn}`,
      Number(reservedTokens),
      Number(spentTokens),
    ])
  }

  const transactionsOf = (turns: readonly NewTurn[]) => countTransactions(database.db, turns)

  test('they begin in one statement and end in one, also across midnight and a month', async () => {
    const { team, members } = await newTeam()
    const turns = members.map((userId, index) =>
      turnOf(userId, team, { tokens: 10 + index, day: index < 4 ? DAY : NEXT_DAY }),
    )
    const all = await Promise.all(turns.map(begun))
    expect(await transactionsOf(turns)).toBe(1)
    expect(await poolOf(team)).toEqual([
      ['month 2026-11-01', 46, 0],
      ['day 2026-11-30', 46, 0],
      ['day 2026-12-01', 29, 0],
      ['month 2026-12-01', 29, 0],
    ])
    await Promise.all(all.map((one, index) => end(one, index + 1)))
    expect(await transactionsOf(turns)).toBe(1)
    expect(await poolOf(team)).toEqual([
      ['month 2026-11-01', 0, 10],
      ['day 2026-11-30', 0, 10],
      ['day 2026-12-01', 0, 11],
      ['month 2026-12-01', 0, 11],
    ])
  })

  test('they get what they would get one after the other where the pool has no room for all', async () => {
    const { team, members } = await newTeam()
    const pool = { nanoUsd: null, tokens: 350 }
    const turns = members.map((userId) => turnOf(userId, team, { tokens: 100, least: 10, pool }))
    const verdicts = await Promise.all(turns.map(begin))
    const granted = verdicts.map((verdict) =>
      verdict.outcome === 'begun' ? verdict.maxTokens : verdict,
    )
    const held = { outcome: 'held', limited: { period: 'month', by: 'team' } }
    expect(granted.slice(0, 3)).toEqual([100, 100, 100])
    expect(granted.slice(3)).toHaveLength(3)
    expect(granted.slice(3)).toEqual(expect.arrayContaining([50, held, held]))
    expect((await poolOf(team)).slice(0, 1)).toEqual([['month 2026-11-01', 350, 0]])
  })

  test('what one may reserve in USD is no room for the next either', async () => {
    const { team, members } = await newTeam()
    const pool = { nanoUsd: 5_000n, tokens: null }
    const turns = members.map((userId) => {
      const turn = turnOf(userId, team, { tokens: 100, pool })
      return { ...turn, worst: { ...turn.worst, inputNanoUsd: 1_000n, outputNanoUsd: 10 } }
    })
    const outcomes = (await Promise.all(turns.map(begin))).map(({ outcome }) => outcome)
    expect(outcomes.sort()).toEqual(['begun', 'begun', ...Array(4).fill('held')])
  })

  type Wanted = { tokens: number; least: number }
  type Pool = { limit: number; spent: number }

  /** What they are granted, or refused with, who ask one after the other in this order. */
  const outcomesOf = (wanted: readonly Wanted[], order: readonly number[], pool: Pool) => {
    const left = pool.limit - pool.spent
    const outcomes: (number | string)[] = []
    let held = 0
    for (const index of order) {
      const { tokens, least } = wanted[index] as Wanted
      const room = Math.min(tokens, left - held)
      if (room >= least) held += room
      outcomes[index] = room >= least ? room : left < least ? 'spent' : 'held'
    }
    return outcomes
  }

  const ordersOf = (all: readonly number[]): number[][] =>
    all.length === 0
      ? [[]]
      : all.flatMap((one) => ordersOf(all.filter((other) => other !== one)).map((o) => [one, ...o]))

  test('they begin as they would one after the other, in some order', async () => {
    const tokens = fc.integer({ min: 1, max: 120 })
    const anyWanted = fc.tuple(tokens, tokens).map(([one, other]) => {
      return { tokens: Math.max(one, other), least: Math.min(one, other) }
    })
    const anyPool = fc.record({
      limit: fc.integer({ min: 50, max: 400 }),
      spent: fc.integer({ min: 0, max: 300 }),
    })
    const all = fc.array(anyWanted, { minLength: 2, maxLength: 5 })
    const property = fc.asyncProperty(all, anyPool, async (wanted, pool) => {
      const { team, members } = await newTeam()
      await end(await begun(turnOf(members[0] as string, team, { tokens: 0 })), pool.spent)
      const limit = { nanoUsd: null, tokens: pool.limit }
      const turns = wanted.map((one, index) =>
        turnOf(members[index] as string, team, { ...one, pool: limit }),
      )
      const outcomes = (await Promise.all(turns.map(begin))).map((verdict) =>
        verdict.outcome === 'begun' ? verdict.maxTokens : verdict.outcome,
      )
      const orders = ordersOf([...wanted.keys()])
      expect(orders.map((order) => outcomesOf(wanted, order, pool))).toContainEqual(outcomes)
    })
    await fc.assert(property, { numRuns: 8 })
  })

  test('each is told the share that it found, and a threshold is told to the one that reached it', async () => {
    const { team, members } = await newTeam()
    const pool = { nanoUsd: null, tokens: 100 }
    const turns = members.map((userId) => turnOf(userId, team, { tokens: 16, pool }))
    const all = await Promise.all(turns.map(begun))
    const told = await Promise.all(all.map((one) => end(one, 15)))
    expect(await transactionsOf(turns)).toBe(1)
    expect(told).toEqual([
      ...[{}, {}, {}, { team_month: 60 }],
      ...[{ team_month: 75 }, { team_month: 90 }],
    ])
    const alerts = await repositories.budgetAlerts.listOfTeam(team.teamId, {
      day: DAY,
      month: '2026-11-01',
    })
    expect(alerts.map(({ threshold, spent }) => [threshold, spent.tokens])).toEqual([
      [80, 90],
      [50, 60],
    ])
  })

  type Ended = { tokens: number; pool: number; day?: string }

  /** Each ends with what it spent, under the limit of the pool that it began with. */
  const endAll = async (spent: readonly Ended[], isTogether = true) => {
    const { team, members } = await newTeam()
    const turns = spent.map(({ pool, day = DAY }, index) => {
      const limit = { nanoUsd: null, tokens: pool }
      return turnOf(members[index] as string, team, { tokens: 0, pool: limit, day })
    })
    const all = await Promise.all(turns.map(begun))
    const ends = all.map((one, index) => () => end(one, spent[index]?.tokens ?? 0))
    const told = isTogether ? await Promise.all(ends.map((run) => run())) : await inTurn(ends)
    expect(await transactionsOf(turns)).toBe(isTogether ? 1 : spent.length)
    const months = [DAY, NEXT_DAY].map((day) => ({ day, month: `${day.slice(0, 7)}-01` }))
    const alerts = await Promise.all(
      months.map((periods) => repositories.budgetAlerts.listOfTeam(team.teamId, periods)),
    )
    const noted = alerts.flat().map(({ threshold, limit, spent: then }) => {
      return `${threshold} % of ${limit.tokens} at ${then.tokens}`
    })
    return { told, alerts: noted.sort() }
  }

  const inTurn = async <T>(all: readonly (() => Promise<T>)[]) => {
    const results: T[] = []
    for (const one of all) results.push(await one())
    return results
  }

  test('a threshold is not told to those who spend nothing after it was reached', async () => {
    const { told, alerts } = await endAll(
      [10, 50, 0, 0, 0, 0].map((tokens) => ({ tokens, pool: 100 })),
    )
    expect(told).toEqual([{}, { team_month: 60 }, {}, {}, {}, {}])
    expect(alerts).toEqual(['50 % of 100 at 60'])
  })

  test('a threshold is told once more where another limit was set between two of them', async () => {
    const { told, alerts } = await endAll([
      { tokens: 60, pool: 100 },
      { tokens: 90, pool: 240 },
      { tokens: 0, pool: 240 },
    ])
    expect(told).toEqual([{ team_month: 60 }, { team_month: 62 }, {}])
    expect(alerts).toEqual(['50 % of 240 at 150'])
  })

  test('they are told, and noted, as if they ended one after the other', async () => {
    const anyEnd = fc.record({
      tokens: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
      pool: fc.constantFrom(100, 100, 100, 150, 240),
      day: fc.constantFrom(DAY, DAY, DAY, NEXT_DAY),
    })
    const anyEnds = fc.array(anyEnd, { minLength: 2, maxLength: MEMBERS })
    const property = fc.asyncProperty(anyEnds, async (ends) => {
      expect(await endAll(ends)).toEqual(await endAll(ends, false))
    })
    await fc.assert(property, { numRuns: 8 })
  })
})
