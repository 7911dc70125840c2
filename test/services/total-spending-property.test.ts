/**
 * A limit of everything: however own and team-paid calls of one user interleave, and whichever
 * processes die, what they spend and hold together never goes beyond it.
 */

import fc from 'fast-check'
import { sql } from 'kysely'
import { beforeAll, expect, test } from 'vitest'
import { newId } from '../../src/crypto/random.ts'
import { createRepositories, type Repositories } from '../../src/repositories/index.ts'
import type { NewTurn } from '../../src/repositories/turns/start-turns.ts'
import { bareEnd, bareTurn, insertUser } from '../support/bare-turns.ts'
import { describeDatabases } from '../support/databases.ts'
import { ownDatabase } from '../support/own-database.ts'

const TOTAL = 2000
const USERS = 6

type Send = { isForTeam: boolean; tokens: number; least: number; used: number; dies: boolean }

const anySend: fc.Arbitrary<Send> = fc.record({
  isForTeam: fc.boolean(),
  tokens: fc.integer({ min: 1, max: 700 }),
  least: fc.integer({ min: 1, max: 300 }),
  used: fc.integer({ min: 0, max: 100 }),
  dies: fc.boolean(),
})
/** Of each user several at once. */
const plans = fc.array(fc.array(anySend, { minLength: 10, maxLength: 10 }), {
  minLength: USERS,
  maxLength: USERS,
})

describeDatabases('a limit of everything', (kind) => {
  const database = ownDatabase(kind)
  let repositories: Repositories
  let team: { teamId: string; keyId: string }

  beforeAll(async () => {
    const { db } = database
    repositories = createRepositories(db)
    await sql
      .raw(`
      create function hold_total() returns trigger language plpgsql as $$
      begin
        if new.spent_tokens + new.reserved_tokens + new.team_spent_tokens + new.team_reserved_tokens
          > ${TOTAL} then raise exception 'the total does not hold: %', new; end if;
        return null;
      end $$`)
      .execute(db)
    await sql
      .raw(`
      create constraint trigger hold_total after insert or update on spending
      deferrable initially deferred for each row execute function hold_total()`)
      .execute(db)
    team = { teamId: newId(), keyId: newId() }
    const names = { name: team.teamId, nameKey: team.teamId, createdBy: null }
    await db
      .insertInto('teams')
      .values({ id: team.teamId, ...names, dataKey: Buffer.alloc(1) })
      .execute()
    const key = { id: team.keyId, teamId: team.teamId, lastFour: '1234', sealed: Buffer.alloc(1) }
    await db.insertInto('teamKeys').values(key).execute()
  })

  const newMember = async () => {
    const userId = await insertUser(database.db)
    const member = { teamId: team.teamId, userId, role: 'member' as const }
    await database.db.insertInto('teamMembers').values(member).execute()
    return userId
  }

  const turnOf = (userId: string, { isForTeam, tokens, least }: Send): NewTurn => {
    const turn = bareTurn(userId)
    const free = { nanoUsd: null, tokens: null }
    const none = { day: free, month: free }
    const everything = { day: free, month: { nanoUsd: null, tokens: TOTAL } }
    const worst = { ...turn.worst, maxTokens: tokens, leastTokens: Math.min(least, tokens) }
    if (!isForTeam) return { ...turn, worst, limits: { ...turn.limits, everything } }
    const limits = { ...turn.limits, everything, team: { pool: none, member: none } }
    return { ...turn, worst, limits, team }
  }

  const send = async (userId: string, one: Send): Promise<string> => {
    const turn = turnOf(userId, one)
    const verdict = await repositories.turnBeginnings.begin(turn)
    if (verdict.outcome !== 'begun') {
      if ('limited' in verdict) expect(verdict.limited).toEqual({ period: 'month', by: 'user' })
      return verdict.outcome
    }
    if (!one.dies) {
      const end = bareEnd(turn, verdict)
      const tokens = Math.floor((verdict.tokens * one.used) / 100)
      await repositories.turnEndings.end({ ...end, spent: { nanoUsd: 0n, tokens } })
    }
    return verdict.outcome
  }

  const closeOrphans = async () => {
    for (const orphan of await repositories.leases.listOrphans([], 'all')) {
      const { id: answerId, conversationId, userId, reservation } = orphan
      if (!reservation) throw new Error('an answer without a reservation')
      const own = { ...bareTurn(userId), answerId, conversationId }
      const turn = reservation.team ? { ...own, team: reservation.team } : own
      const spent = { nanoUsd: 0n, tokens: reservation.tokens }
      await repositories.turnEndings.end({ ...bareEnd(turn, reservation), reservation, spent })
    }
  }

  test('holds at every commit, whoever pays', async () => {
    const property = fc.asyncProperty(fc.noBias(plans), async (plan) => {
      const users = await Promise.all(plan.map(newMember))
      const outcomes = new Set<string>()
      for (const _wave of [1, 2]) {
        const all = users.flatMap((userId, index) =>
          (plan[index] ?? []).map((one) => send(userId, one)),
        )
        for (const outcome of await Promise.all(all)) outcomes.add(outcome)
        await closeOrphans()
      }
      expect([...outcomes].sort()).toEqual(['begun', 'held', 'spent'])
      const { rows } = await sql<{ left: string }>`
        select coalesce(sum(abs(reserved_tokens) + abs(team_reserved_tokens)), 0) as left
        from spending`.execute(database.db)
      expect(rows[0]?.left).toBe('0')
    })
    // The interleaving is random, so a failing run cannot be shrunk.
    await fc.assert(property, { numRuns: 3, endOnFailure: true })
  })
})
