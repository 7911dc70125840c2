/** Thresholds of budgets are noted once: whatever settles, on whichever replica, however often. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { openDatabase } from '../../../src/database/open.ts'
import { createLogger } from '../../../src/log.ts'
import type { LimitSet } from '../../../src/repositories/billing/budgets.ts'
import { periodsAt } from '../../../src/repositories/billing/periods.ts'
import { createRepositories, type Repositories } from '../../../src/repositories/index.ts'
import type { NewTurn } from '../../../src/repositories/turns/start-turns.ts'
import { BudgetAlerts } from '../../../src/services/billing/alerts/budget-alerts.ts'
import { bareOutcome, bareRequest, callService } from '../../support/bare-calls.ts'
import { bareEnd, bareTurn, insertTeam, insertUser } from '../../support/bare-turns.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'

const NONE = { nanoUsd: null, tokens: null }
const tokens = (limit: number) => ({ nanoUsd: null, tokens: limit })
const perDay = (limit: number): LimitSet => ({
  day: tokens(limit),
  month: NONE,
  connectionNanoUsd: null,
})

describeDatabases('alerts of budgets', (kind) => {
  let fresh: FreshDatabase
  let database: Awaited<ReturnType<typeof openDatabase>>
  /** Of a replica each: they share nothing but the database. */
  let replicas: Repositories[]
  let closeOther: () => Promise<void>

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    // The embedded database is for one process.
    const other = kind === 'embedded' ? database : await openDatabase(fresh)
    closeOther = kind === 'embedded' ? async () => {} : () => other.close()
    replicas = [createRepositories(database.db), createRepositories(other.db)]
  })
  afterAll(async () => {
    await closeOther()
    await database.close()
    await fresh.drop()
  })

  const periods = periodsAt(new Date())

  /** A turn that is settled with these tokens, under these limits. */
  const spend = async (
    userId: string,
    used: number,
    limits: LimitSet,
    { nanoUsd = 0n, replica = 0, turn = {} as Partial<NewTurn> } = {},
  ) => {
    const repositories = replicas[replica] as Repositories
    const asked: NewTurn = { ...bareTurn(userId), ...turn, periods }
    const begun = await repositories.turnBeginnings.begin(asked)
    if (begun.outcome !== 'begun') throw new Error(begun.outcome)
    const end = bareEnd(asked, begun)
    const ended = await repositories.turnEndings.end({
      ...end,
      ...{ limits, leastPercent: 75, spent: { nanoUsd, tokens: used } },
    })
    return ended?.used
  }

  const alertsOf = async (userId: string) => {
    const alerts = await replicas[0]?.budgetAlerts.listOfUser(userId, periods)
    return (alerts ?? []).map(({ bookKind, threshold }) => `${bookKind} ${threshold}`).sort()
  }

  test('each threshold is noted by the settlement that reaches it, which warns of it too', async () => {
    const ada = await insertUser(database.db)
    const limits = perDay(1000)
    expect(await spend(ada, 499, limits)).toEqual({})
    expect(await alertsOf(ada)).toEqual([])
    expect(await spend(ada, 1, limits)).toEqual({ day: 50 })
    // Below 75 % only what reaches a threshold is warned of.
    expect(await spend(ada, 100, limits)).toEqual({})
    expect(await spend(ada, 300, limits)).toEqual({ day: 90 })
    expect(await alertsOf(ada)).toEqual(['user 50', 'user 80'])
    expect(await spend(ada, 200, limits)).toEqual({ day: 110 })
    expect(await spend(ada, 1, limits)).toEqual({ day: 110 })
    expect(await alertsOf(ada)).toEqual(['user 100', 'user 50', 'user 80'])
  })

  test('one call may reach all of them, of the day and of the month', async () => {
    const ada = await insertUser(database.db)
    const limits = { day: tokens(10), month: tokens(20), connectionNanoUsd: null }
    await spend(ada, 16, limits)
    const alerts = await replicas[0]?.budgetAlerts.listOfUser(ada, periods)
    const shown = alerts?.map(({ period, threshold, startsOn }) => [period, threshold, startsOn])
    expect(shown?.sort()).toEqual([
      ['day', 100, periods.day],
      ['day', 50, periods.day],
      ['day', 80, periods.day],
      ['month', 50, periods.month],
      ['month', 80, periods.month],
    ])
    expect(alerts?.[0]).toMatchObject({ userId: ada, bookId: ada, spent: { tokens: 16 } })
  })

  test('a limit of nothing, and none, have no thresholds', async () => {
    const ada = await insertUser(database.db)
    await spend(ada, 5, { day: tokens(0), month: NONE, connectionNanoUsd: 0n }, { nanoUsd: 5n })
    expect(await alertsOf(ada)).toEqual([])
  })

  test('calls that end at once on two replicas note each threshold once', async () => {
    const ada = await insertUser(database.db)
    await spend(ada, 1, perDay(1000))
    const ends = Array.from({ length: 40 }, (_, index) =>
      spend(ada, 30, perDay(1000), { replica: index % 2 }),
    )
    const used = await Promise.all(ends)
    expect(await alertsOf(ada)).toEqual(['user 100', 'user 50', 'user 80'])
    // 1 + 17 * 30 is the first above 500.
    expect(used.filter((one) => one?.day === 51)).toHaveLength(1)
    const { rows } = await sql<{ untold: number }>`
      select count(*)::integer as untold from budget_alerts where user_id = ${ada} and told_at is null`.execute(
      database.db,
    )
    expect(rows[0]?.untold).toBe(3)
  })

  test('a raised limit is reached again, once, and only by a call that passes the threshold', async () => {
    const ada = await insertUser(database.db)
    const firedFor = async () => {
      const alerts = await replicas[0]?.budgetAlerts.listOfUser(ada, periods)
      return alerts?.map(({ threshold, limit }) => `${threshold} of ${limit.tokens}`).sort()
    }
    await spend(ada, 90, perDay(100))
    expect(await firedFor()).toEqual(['50 of 100', '80 of 100'])
    // 91 of 110 is above 80 % as before: nothing new was reached.
    await spend(ada, 1, perDay(110))
    expect(await firedFor()).toEqual(['50 of 100', '80 of 100'])
    await spend(ada, 5, perDay(200))
    expect(await firedFor()).toEqual(['50 of 100', '80 of 100'])
    // 96 of 250 is 38 %; then 50 % and 80 % of it are passed again.
    await spend(ada, 110, perDay(250))
    expect(await firedFor()).toEqual(['50 of 250', '80 of 250'])
    await spend(ada, 1, perDay(250))
    expect(await firedFor()).toEqual(['50 of 250', '80 of 250'])
    // A lowered one is over what was spent already.
    await spend(ada, 1, perDay(100))
    expect(await firedFor()).toEqual(['100 of 100', '50 of 250', '80 of 250'])
  })

  test('what was told is told again only when it is reached again', async () => {
    const ada = await insertUser(database.db)
    const untold = async () => {
      const taken = (await replicas[1]?.budgetAlerts.takeUntold(1000)) ?? []
      return taken.filter(({ userId }) => userId === ada).map(({ threshold }) => threshold)
    }
    await spend(ada, 60, perDay(100))
    expect(await untold()).toEqual([50])
    await spend(ada, 1, perDay(100))
    expect(await untold()).toEqual([])
    await spend(ada, 50, perDay(200))
    expect(await untold()).toEqual([50])
  })

  test('the limit of a connection has its own', async () => {
    const ada = await insertUser(database.db)
    const limits = { day: NONE, month: NONE, connectionNanoUsd: 100n }
    const turn = { isCapped: true }
    expect(await spend(ada, 1, limits, { nanoUsd: 85n, turn })).toEqual({ connection: 85 })
    const [alert] = (await replicas[0]?.budgetAlerts.listOfUser(ada, periods)) ?? []
    expect(alert).toMatchObject({
      ...{ bookKind: 'connection', bookId: ada, userId: ada, period: 'month' },
      limit: { nanoUsd: 100n, tokens: null },
      spent: { nanoUsd: 85n, tokens: 0 },
    })
    expect(await alertsOf(ada)).toEqual(['connection 50', 'connection 80'])
  })

  test("a team's pool and each member's part of it have their own", async () => {
    const [ada, bob] = [await insertUser(database.db), await insertUser(database.db)]
    const team = await insertTeam(database.db, [ada, bob])
    const unlimited = { day: NONE, month: NONE }
    const limits: LimitSet = {
      ...{ ...unlimited, connectionNanoUsd: null },
      team: {
        pool: { day: NONE, month: tokens(1000) },
        member: { day: tokens(400), month: NONE },
      },
    }
    const turn = { team, limits }
    expect(await spend(ada, 320, limits, { turn })).toEqual({ member_day: 80 })
    expect(await spend(bob, 190, limits, { turn, replica: 1 })).toEqual({ team_month: 51 })
    expect(await alertsOf(ada)).toEqual(['member 50', 'member 80'])
    expect(await alertsOf(bob)).toEqual([])
    const ofTeam = await replicas[0]?.budgetAlerts.listOfTeam(team.teamId, periods)
    expect(ofTeam?.map(({ bookKind, userId, threshold }) => [bookKind, userId, threshold])).toEqual(
      [
        ['team', null, 50],
        ['member', ada, 80],
        ['member', ada, 50],
      ],
    )
  })

  test('a call of the Messages API reaches them in its settlement', async () => {
    const ada = await insertUser(database.db)
    const { service } = callService(database.db, { day: tokens(1000), month: NONE })
    const caller = { userId: ada, sessionId: ada }
    const context = await service.context(caller)
    const forward = async () => bareOutcome(300, 300)
    const { signal } = new AbortController()
    const request = bareRequest({ inputTokens: 300, maxTokens: 300 })
    const started = await service.start(caller, context, request, forward, signal)
    if (started.outcome !== 'held') throw new Error(started.outcome)
    expect((await started.settled).used).toEqual({ day: 60 })
    expect(await alertsOf(ada)).toEqual(['user 50'])
    // Nothing of it fits: it is stopped, and that is noted once.
    for (const _try of [1, 2]) {
      const again = await service.start(caller, context, request, forward, signal)
      expect(again.outcome).toBe('spent')
    }
    expect(await alertsOf(ada)).toEqual(['user 0', 'user 50'])
  })

  test('a call whose process died reaches them when another process settles it, once', async () => {
    const ada = await insertUser(database.db)
    const limits = { day: tokens(1000), month: NONE }
    const [dead, alive] = [callService(database.db, limits), callService(database.db, limits)]
    const caller = { userId: ada, sessionId: ada }
    const context = await dead.service.context(caller)
    const { signal } = new AbortController()
    const request = bareRequest({ inputTokens: 600, maxTokens: 300 })
    const never = () => new Promise<never>(() => {})
    const started = await dead.service.start(caller, context, request, never, signal)
    expect([started.outcome, await alertsOf(ada)]).toEqual(['held', []])
    await Promise.all([alive, alive].map(({ service }) => service.closeOrphans('all')))
    // What it may have cost at most in the time that it ran.
    const spent = await replicas[0]?.budgets.findSpending(ada, periods)
    const share = Math.floor((spent?.[0]?.spent.tokens ?? 0) / 10)
    const reached = [50, 80, 100].filter((threshold) => share >= threshold)
    expect(reached).toContain(50)
    expect(await alertsOf(ada)).toEqual(reached.map((threshold) => `user ${threshold}`))
  })

  test('a stopped call is noted once for each person, budget and period, on every replica', async () => {
    const [ada, bob] = [await insertUser(database.db), await insertUser(database.db)]
    const log = createLogger('silent')
    const services = replicas.map((repositories) => new BudgetAlerts({ repositories, log }))
    const teamId = newId()
    const limits: LimitSet = {
      ...{ day: NONE, month: NONE, connectionNanoUsd: null },
      team: { pool: { day: tokens(7), month: NONE }, member: { day: NONE, month: NONE } },
    }
    const limited = { period: 'day', by: 'team' } as const
    const at = new Date()
    const stops = [ada, bob, ada, bob].flatMap((userId) =>
      services.map((one) =>
        one.noteStop({ userId, sessionId: userId, teamId, limited, limits, at }),
      ),
    )
    await Promise.all(stops)
    const noted = await services[0]?.listOfTeam(teamId)
    expect(
      noted?.map(({ userId, threshold, limit }) => [userId, threshold, limit.tokens]).sort(),
    ).toEqual(
      [
        [ada, 0, 7],
        [bob, 0, 7],
      ].sort(),
    )
  })

  test('they go with their periods, and with their user', async () => {
    const [ada, bob] = [await insertUser(database.db), await insertUser(database.db)]
    for (const user of [ada, bob]) await spend(user, 60, perDay(100))
    await sql`update budget_alerts set starts_on = starts_on - 63 where user_id = ${ada}`.execute(
      database.db,
    )
    await replicas[0]?.budgetAlerts.deleteOld()
    await replicas[0]?.erasure.clearAlerts(bob)
    const { rows } = await sql`
      select from budget_alerts where user_id in (${ada}, ${bob})`.execute(database.db)
    expect(rows).toEqual([])
  })
})
