/**
 * A limit against an Anthropic with books of its own: text of a token a byte, prompts about a price
 * band, regions that cost more, thinking that nobody sees, callers that leave, usage that is told
 * wrongly or not at all, requests that are lost after they were sent. Whatever comes, the bill of the
 * period is at most 1 % over the limit, and no call is booked for less than it is billed.
 */

import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { periodsAt } from '../../src/repositories/billing/periods.ts'
import type { LedgerRow } from '../../src/repositories/index.ts'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import { ODDITIES } from '../support/claude-stand-in/oddity.ts'
import type { Reply } from '../support/claude-stand-in/reply.ts'
import { describeDatabases } from '../support/databases.ts'
import { type Answer, startApp, type TestApp, type TestClient } from '../support/start-app.ts'
import { untilSettled } from '../support/until-settled.ts'

const RUNS = 3
const ALL_DAYS = { from: '2000-01-01', to: '2999-12-31' }
const NAMES = ['anthropic/claude-sonnet-5-5', 'claude-sonnet-5.5', '', null, 'claude\u0000']
const FAULTS: Fault[] = [
  { kind: 'drop_before_headers', billed: true },
  { kind: 'stream_drop', afterChunks: 1 },
  { kind: 'stream_end', afterChunks: 2 },
  { kind: 'stream_error', afterChunks: 1, type: 'overloaded_error' },
  { kind: 'status', status: 529, headers: { 'retry-after-ms': '1' } },
  { kind: 'pass' },
  { kind: 'pass' },
]

type Plan = {
  model: string
  bytes: number
  maxTokens: number
  leavesAfterMs: number | null
  reply: Reply
}

const anyPlan: fc.Arbitrary<Plan> = fc.record({
  model: fc.constantFrom('claude-sonnet-5-5', 'claude-haiku-5-5', 'claude-opus-4-6', 'haiku'),
  // About the band of 100,000 tokens for some.
  bytes: fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 98_000, max: 104_000 })),
  maxTokens: fc.integer({ min: 16, max: 3000 }),
  // Half of them stay: what they are told is counted below.
  leavesAfterMs: fc.option(fc.integer({ min: 0, max: 300 }), { freq: 1 }),
  reply: fc.record(
    {
      text: fc.nat(600).map((length) => 'word'.repeat(length)),
      thinks: fc.record({ tokens: fc.nat(250), ms: fc.integer({ min: 250, max: 500 }) }),
      inputDensity: fc.constantFrom(1, 4),
      geo: fc.constant('us'),
      calledModel: fc.constantFrom(...NAMES),
      oddity: fc.constantFrom(...ODDITIES),
    },
    { requiredKeys: ['text'] },
  ),
})

describeDatabases('a limit, whatever Anthropic says', (kind) => {
  let app: TestApp
  /** By the tag that a message begins with. */
  const replies = new Map<string, Reply>()

  beforeAll(async () => {
    // Less than a token a millisecond, which is what is taken for the most.
    app = await startApp({ kind, claude: { chunkSize: 64, chunkDelayMs: 20 } })
  })
  afterAll(() => app.close())

  async function send(client: TestClient, tag: string, plan: Plan): Promise<Answer | 'left'> {
    const leaving = new AbortController()
    if (plan.leavesAfterMs !== null) setTimeout(() => leaving.abort(), plan.leavesAfterMs)
    const message = `${tag} ${'x'.repeat(plan.bytes)}`
    const args = { message, tag, model: plan.model, max_tokens: plan.maxTokens }
    const options = { signal: leaving.signal, timeout: 120_000 }
    return client.call('send_message', args, options).catch((error: unknown) => {
      if (leaving.signal.aborted) return 'left' as const
      throw error
    })
  }

  test('the bill stays within 1 % of it, and no call is booked for less than its bill', async () => {
    let refused = 0
    let estimated = 0
    const anyRun = fc.record({
      cents: fc.integer({ min: 2, max: 30 }),
      plans: fc.array(anyPlan, { minLength: 24, maxLength: 24 }),
      faults: fc.array(fc.constantFrom(...FAULTS), { minLength: 24, maxLength: 24 }),
    })
    const everything = fc.asyncProperty(fc.noBias(anyRun), async ({ cents, plans, faults }) => {
      app.claude.reset()
      replies.clear()
      app.claude.setReply(({ messages }) => {
        const content = messages.at(-1)?.content
        const text = typeof content === 'string' ? content : (content?.[0]?.text ?? '')
        return replies.get(text.split(' ')[0] ?? '') ?? {}
      })
      app.claude.script(...faults)
      const user = await app.register()
      const client = await app.connect('legacy', user.accessToken)
      await client.call('set_budget', { period: 'day', limit_usd: cents / 100 })
      const sent = await Promise.all(
        plans.map((plan, index) => {
          replies.set(`call-${index}`, plan.reply)
          return send(client, `call-${index}`, plan)
        }),
      )
      await untilSettled(app)

      const rows = (await app.app.repositories.ledger.list(ALL_DAYS, '0', 100_000)).filter(
        ({ userId }) => userId === user.userId,
      )
      const limit = cents * 1e7
      const [day] = await app.app.repositories.budgets.findSpending(
        user.userId,
        periodsAt(new Date()),
      )
      expect(Number(day?.spent.nanoUsd)).toBeLessThanOrEqual(limit)
      expect(day?.reserved.nanoUsd).toBe(0n)
      expect(app.claude.billed(user.apiKey).nanoUsd).toBeLessThanOrEqual(limit * 1.01)
      expectBookedAtLeast(rows, billsByTag(app, user.apiKey))
      expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
      for (const answer of sent) {
        if (answer === 'left') continue
        const code = answer.structured.error?.code
        expect(code).not.toBe('internal')
        if (code === 'budget_exceeded') refused += 1
      }
      estimated += rows.filter((row) => row.estimated !== null).length
    })
    await fc.assert(everything, { numRuns: RUNS, endOnFailure: true })
    expect(refused).toBeGreaterThan(0)
    expect(estimated).toBeGreaterThan(0)
  }, 300_000)
})

function billsByTag(app: TestApp, key: string): Map<string, number> {
  const bills = new Map<string, number>()
  for (const { json, billed, key: asked } of app.claude.messageRequests()) {
    if (billed === undefined || asked !== key) continue
    const { messages } = json as { messages: { content: { text: string }[] }[] }
    const tag = messages.at(-1)?.content[0]?.text.split(' ')[0] ?? ''
    bills.set(tag, (bills.get(tag) ?? 0) + billed.nanoUsd)
  }
  return bills
}

/** A fraction of a nano-USD is no bill. */
function expectBookedAtLeast(rows: LedgerRow[], bills: Map<string, number>): void {
  const booked = new Map(rows.map((row) => [row.tag, Number(row.costNanoUsd)]))
  for (const [tag, nanoUsd] of bills) {
    expect(booked.get(tag) ?? 0, tag).toBeGreaterThanOrEqual(Math.floor(nanoUsd))
  }
}
