/**
 * Many senders, some teams, processes that die: however they interleave, no pool and no member's part
 * of one goes beyond its limit, nothing stays reserved, and the books are the ledger's.
 */

import fc from 'fast-check'
import { sql } from 'kysely'
import { beforeAll, expect, test } from 'vitest'
import { newId } from '../../src/crypto/random.ts'
import type { StoredTeamPayer } from '../../src/database/schema.ts'
import { createRepositories, type Repositories } from '../../src/repositories/index.ts'
import type { EndingTurn } from '../../src/repositories/turns/finish-turns.ts'
import type { NewTurn } from '../../src/repositories/turns/start-turns.ts'
import { bareEnd, bareTurn, insertTeam, insertUser } from '../support/bare-turns.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const POOL = 3000
const PART = 1000
const SENDERS = 16
const TEAMS = 3
const ROUNDS = 4

type Send = { team: number; tokens: number; least: number; used: number; dies: boolean }

const anySend: fc.Arbitrary<Send> = fc.record({
  team: fc.integer({ min: 0, max: TEAMS - 1 }),
  tokens: fc.integer({ min: 1, max: 700 }),
  least: fc.integer({ min: 1, max: 200 }),
  used: fc.integer({ min: 0, max: 100 }),
  dies: fc.boolean(),
})
const plans = fc.array(fc.array(anySend, { minLength: ROUNDS, maxLength: ROUNDS }), {
  minLength: SENDERS,
  maxLength: SENDERS,
})

/** The database itself refuses to commit what goes beyond a limit, or below nothing. */
const holdIn = (table: string, limit: number) => `
  create function hold_${table}() returns trigger language plpgsql as $$
  begin
    if new.spent_tokens + new.reserved_tokens > ${limit} or new.reserved_tokens < 0
    then raise exception '% does not hold: %', '${table}', new; end if;
    return null;
  end $$;
  create constraint trigger hold_${table} after insert or update on ${table}
  deferrable initially deferred for each row execute function hold_${table}()`

describeDatabases('pools of teams, many senders', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories

  beforeAll(async () => {
    repositories = createRepositories(database.db)
    for (const statement of [holdIn('team_spending', POOL), holdIn('member_spending', PART)]) {
      for (const part of statement.split(/;\s*(?=create constraint)/)) {
        await sql.raw(part).execute(database.db)
      }
    }
  })

  const newTeam = (members: readonly string[]) => insertTeam(database.db, members)

  const turnOf = (userId: string, team: StoredTeamPayer, { tokens, least }: Send): NewTurn => {
    const free = { nanoUsd: null, tokens: null }
    const limitOf = (limit: number) => ({ day: free, month: { nanoUsd: null, tokens: limit } })
    const turn = bareTurn(userId)
    return {
      ...turn,
      team,
      limits: { ...turn.limits, team: { pool: limitOf(POOL), member: limitOf(PART) } },
      worst: {
        ...turn.worst,
        inputTokens: 1,
        maxTokens: tokens,
        leastTokens: Math.min(least, tokens),
      },
    }
  }

  /** Books a part of what was reserved. */
  const endOf = (end: EndingTurn, used: number): EndingTurn => {
    const tokens = Math.floor((end.reservation.tokens * used) / 100)
    const none = { cacheWrite5mTokens: 0, cacheWrite1hTokens: 0, cacheReadTokens: 0 }
    const priced = {
      unitPrices: null,
      costNanoUsd: null,
      estimated: null,
      requestId: null,
      tag: null,
    }
    const counts = { inputTokens: tokens, outputTokens: 0, thinkingTokens: 0, ...none }
    const ledgerRow = { model: 'claude-sonnet-5', ...counts, ...priced }
    return { ...end, spent: { nanoUsd: 0n, tokens }, ledgerRow }
  }

  const sendAll = async (
    userId: string,
    teams: StoredTeamPayer[],
    plan: Send[],
  ): Promise<string[]> => {
    const outcomes = []
    for (const one of plan) {
      const turn = turnOf(userId, teams[one.team] as StoredTeamPayer, one)
      const verdict = await repositories.turnBeginnings.begin(turn)
      outcomes.push(verdict.outcome)
      if (verdict.outcome !== 'begun' || one.dies) continue
      await repositories.turnEndings.end(endOf(bareEnd(turn, verdict), one.used))
    }
    return outcomes
  }

  /** What another process does with the answers of one that died. */
  const closeOrphans = async () => {
    for (const orphan of await repositories.leases.listOrphans([], 'all')) {
      const { id: answerId, conversationId, userId, reservation } = orphan
      if (!reservation?.team) throw new Error('a reservation without its team')
      const turn = { ...bareTurn(userId), answerId, conversationId, team: reservation.team }
      const end = bareEnd(turn, reservation)
      await repositories.turnEndings.end(endOf({ ...end, reservation }, 100))
    }
  }

  test('limits hold at every commit, and the books are right in the end', async () => {
    const property = fc.asyncProperty(fc.noBias(plans), async (plan) => {
      const users = await Promise.all(plan.map(() => insertUser(database.db)))
      const teams = await Promise.all(Array.from({ length: TEAMS }, () => newTeam(users)))
      const outcomes = new Set<string>()
      // The second time on what the closed answers have spent.
      for (const _wave of [1, 2]) {
        const all = users.map((userId, index) => sendAll(userId, teams, plan[index] ?? []))
        for (const outcome of (await Promise.all(all)).flat()) outcomes.add(outcome)
        await closeOrphans()
      }
      expect([...outcomes].sort()).toEqual(['begun', 'held', 'spent'])
      for (const table of ['team_spending', 'member_spending']) {
        const { rows } = await sql<{ left: string }>`
          select coalesce(sum(abs(reserved_tokens) + abs(reserved_nano_usd)), 0) as left
          from ${sql.table(table)}`.execute(database.db)
        expect(rows[0]?.left, table).toBe('0')
      }
      expect(await repositories.ledgerAudit.listDrift()).toEqual([])
    })
    // The interleaving is random, so a failing run cannot be shrunk.
    await fc.assert(property, { numRuns: 3, endOnFailure: true })
  })

  test('one of fifty members begins where there is room for one', async () => {
    const users = await Promise.all(Array.from({ length: 50 }, () => insertUser(database.db)))
    const team = await newTeam(users)
    const one: Send = { team: 0, tokens: 900, least: 900, used: 0, dies: false }
    const turns = users.map((userId) => {
      const turn = turnOf(userId, team, one)
      const pool = { day: { nanoUsd: null, tokens: 1000 }, month: { nanoUsd: null, tokens: null } }
      return { ...turn, limits: { ...turn.limits, team: { pool, member: pool } } }
    })
    const verdicts = await Promise.all(turns.map((turn) => repositories.turnBeginnings.begin(turn)))
    const begun = verdicts.filter(({ outcome }) => outcome === 'begun')
    expect(begun).toHaveLength(1)
    for (const verdict of verdicts.filter(({ outcome }) => outcome !== 'begun')) {
      expect(verdict).toEqual({ outcome: 'held', limited: { period: 'day', by: 'team' } })
    }
    await closeOrphans()
  })

  test('one of fifty calls without a conversation begins where there is room for one', async () => {
    const users = await Promise.all(Array.from({ length: 50 }, () => insertUser(database.db)))
    const team = await newTeam(users)
    const one: Send = { team: 0, tokens: 900, least: 900, used: 0, dies: false }
    const pool = { day: { nanoUsd: null, tokens: 1000 }, month: { nanoUsd: null, tokens: null } }
    const labels = {
      ...{ tag: null, client: null, sessionLabel: null, agentId: null, requestClass: null },
      ...{ keyLastFour: '1234', source: 'messages' as const },
    }
    const verdicts = await Promise.all(
      users.map((userId) => {
        const turn = turnOf(userId, team, one)
        const limits = { ...turn.limits, team: { pool, member: pool } }
        return repositories.calls.begin({ ...turn, ...labels, callId: newId(), limits })
      }),
    )
    expect(verdicts.filter(({ outcome }) => outcome === 'begun')).toHaveLength(1)
    expect(verdicts.filter(({ outcome }) => outcome === 'held')).toHaveLength(49)
    const [call] = await repositories.calls.listOrphans([], 'all')
    expect(call?.reservation).toMatchObject({ v: 3, team })
    expect(await repositories.ledgerAudit.listDrift()).toEqual([])
  })
})
