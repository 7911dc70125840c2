/**
 * Several users' calls and turns, begun, ended, thrown and left behind by dead processes in any
 * order: afterwards nothing is reserved, and what is spent is what the ledger says.
 */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { periodsAt } from '../../../src/repositories/billing/periods.ts'
import { createRepositories } from '../../../src/repositories/index.ts'
import { bareOutcome, bareRequest, callService } from '../../support/bare-calls.ts'
import { bareEnd, bareTurn, insertUser } from '../../support/bare-turns.ts'
import { type DatabaseKind, describeDatabases } from '../../support/databases.ts'
import { ownDatabase } from '../../support/own-database.ts'

const USERS = 3
const LIMIT_TOKENS = 2_000
const RUNS: Record<DatabaseKind, number> = { postgresql: 8, embedded: 4 }
const NONE = { nanoUsd: null, tokens: null }
const LIMITS = { day: { nanoUsd: null, tokens: LIMIT_TOKENS }, month: NONE }

type Step = {
  user: number
  input: number
  output: number
  what: 'call' | 'turn'
  end: 'settle' | 'throw' | 'die'
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  user: fc.nat({ max: USERS - 1 }),
  input: fc.integer({ min: 0, max: 300 }),
  output: fc.integer({ min: 1, max: 400 }),
  what: fc.constantFrom('call', 'call', 'turn'),
  end: fc.constantFrom('settle', 'settle', 'throw', 'die'),
})

describeDatabases('calls and turns of several users', (kind) => {
  const database = ownDatabase(kind)

  test('leave nothing reserved, and books that agree', async () => {
    const repositories = createRepositories(database.db)
    const everything = fc.asyncProperty(
      fc.array(anyStep, { minLength: 20, maxLength: 40 }),
      async (steps) => {
        const users = await Promise.all(
          Array.from({ length: USERS }, () => insertUser(database.db)),
        )
        const dead = callService(database.db, LIMITS)
        const alive = callService(database.db, LIMITS)

        const turn = async (userId: string, { input, output }: Step) => {
          const worst = { ...bareTurn(userId).worst, inputTokens: input, maxTokens: output }
          const limits = { ...LIMITS, connectionNanoUsd: null }
          const asked = { ...bareTurn(userId), worst, limits, periods: periodsAt(new Date()) }
          const begun = await repositories.turnBeginnings.begin(asked)
          if (begun.outcome === 'begun') {
            await repositories.turnEndings.end({
              ...bareEnd(asked, begun),
              spent: { nanoUsd: 0n, tokens: 0 },
            })
          }
        }

        const call = async (userId: string, { input, output, end }: Step) => {
          const { service } = end === 'die' ? dead : alive
          const caller = { userId, sessionId: userId }
          const context = await service.context(caller)
          const asked = bareRequest({ inputTokens: input, maxTokens: output, leastTokens: 1 })
          // Never ends in the process that dies, whose calls another one closes.
          const forward = ({ maxTokens }: { maxTokens: number }) => {
            if (end === 'die') return new Promise<never>(() => {})
            if (end === 'throw') throw new Error('a fault')
            const written = Math.min(maxTokens, Math.ceil(output / 2))
            return Promise.resolve(bareOutcome(input, written))
          }
          const started = await service.start(
            caller,
            context,
            asked,
            async (held) => forward(held),
            // It waits for nothing.
            AbortSignal.abort(),
          )
          if (started.outcome === 'held' && end !== 'die') await started.settled
        }

        await Promise.all(
          steps.map((step) => {
            const userId = users[step.user] as string
            return step.what === 'turn' ? turn(userId, step) : call(userId, step)
          }),
        )
        const ids = dead.running.ids
        expect((await repositories.calls.listRunning()).map(({ id }) => id).sort()).toEqual(
          ids.sort(),
        )
        expect(await repositories.ledgerAudit.listDrift()).toEqual([])
        expect(await alive.service.closeOrphans({ among: [...ids, newId()] })).toBe(ids.length)

        const rows = await database.db.selectFrom('ledger').selectAll().execute()
        for (const userId of users) {
          const own = rows.filter((row) => row.userId === userId)
          const tokens = own.reduce(
            (sum, row) => sum + row.inputTokens + row.cacheWrite5mTokens + row.outputTokens,
            0,
          )
          const nanoUsd = own.reduce((sum, row) => sum + BigInt(row.costNanoUsd ?? 0), 0n)
          for (const row of await repositories.budgets.findSpending(
            userId,
            periodsAt(new Date()),
          )) {
            expect(row.reserved).toEqual({ nanoUsd: 0n, tokens: 0 })
            expect(row.spent).toEqual({ nanoUsd, tokens })
            expect(tokens).toBeLessThanOrEqual(LIMIT_TOKENS)
          }
        }
        expect(await repositories.ledgerAudit.listDrift()).toEqual([])
      },
    )
    await fc.assert(everything, { numRuns: RUNS[kind], endOnFailure: true })
  })
})
