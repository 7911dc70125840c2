/**
 * Many senders, one budget: random sizes, callers that leave, an upstream that fails, all at once
 * through both official clients. However they interleave, the limit holds and the books are right.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Spending } from '../../src/repositories/billing/budgets.ts'
import { periodsAt } from '../../src/repositories/billing/periods.ts'
import type { LedgerRow } from '../../src/repositories/index.ts'
import type { Fault } from '../support/claude-stand-in/faults.ts'
import type { Billed } from '../support/claude-stand-in/ledger.ts'
import { runSql } from '../support/database-supplies.ts'
import { type DatabaseKind, describeDatabases } from '../support/databases.ts'
import {
  type Answer,
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'
import { untilSettled } from '../support/until-settled.ts'

const SIZES: Record<DatabaseKind, { senders: number; each: number }> = {
  postgresql: { senders: 64, each: 2 },
  embedded: { senders: 16, each: 4 },
}
/** About half of what they would use all in all, and less than they would reserve at once. */
const LIMIT_PER_SEND = { nanoUsd: 2_000_000n, tokens: 300 }
const ALL_DAYS = { from: '2000-01-01', to: '2999-12-31' }

type Send = {
  bytes: number
  maxTokens: number
  end: 'wait' | 'leave' | 'cancel'
  afterMs: number
}
type Sent = Send & { tag: string; answer: Answer | 'left' }

const anySend: fc.Arbitrary<Send> = fc.record({
  bytes: fc.integer({ min: 1, max: 3000 }),
  maxTokens: fc.integer({ min: 16, max: 2000 }),
  end: fc.constantFrom('wait', 'wait', 'wait', 'leave', 'cancel'),
  afterMs: fc.integer({ min: 0, max: 300 }),
})
const TROUBLE: Fault[] = [
  { kind: 'status', status: 529 },
  { kind: 'status', status: 400 },
  { kind: 'drop_before_headers' },
  { kind: 'delay', delayMs: 100 },
  { kind: 'stream_error', afterChunks: 0, type: 'overloaded_error' },
  { kind: 'stream_error', afterChunks: 4, type: 'overloaded_error' },
  { kind: 'stream_drop', afterChunks: 9 },
  { kind: 'stream_end', afterChunks: 90 },
  { kind: 'reply', reply: { refusalCategory: 'cyber' } },
  { kind: 'reply', reply: { refusalCategory: 'cyber', text: 'I had begun, but no.' } },
]

/** Every trouble once for 16 senders, in any order, among as many calls without. */
function anyTrouble(senders: number): fc.Arbitrary<Fault[]> {
  const pass: Fault = { kind: 'pass' }
  const all = Array.from({ length: senders / 16 }, () => TROUBLE.flatMap((one) => [one, pass]))
  const script = all.flat()
  return fc.shuffledSubarray(script, { minLength: script.length })
}

describeDatabases('one budget, many senders', (kind) => {
  const { senders, each } = SIZES[kind]
  const limit = {
    nanoUsd: LIMIT_PER_SEND.nanoUsd * BigInt(senders * each),
    tokens: LIMIT_PER_SEND.tokens * senders * each,
  }
  let app: TestApp
  let user: TestUser
  let clients: TestClient[]

  beforeAll(async () => {
    app = await startApp({
      kind,
      env: {
        BUDGET_TOKENS_PER_DAY: String(limit.tokens),
        BUDGET_USD_PER_MONTH: `0.${String(limit.nanoUsd).padStart(9, '0')}`,
      },
      claude: { chunkDelayMs: 2, chunkSize: 32 },
    })
    if (app.databaseUrl) await runSql(app.databaseUrl, holdLimit(limit))
    user = await app.register()
    clients = await Promise.all(eras.map((era) => app.connect(era, user.accessToken)))
  })
  afterAll(() => app.close())

  const spending = (): Promise<Spending[]> =>
    app.app.repositories.budgets.findSpending(user.userId, periodsAt(new Date()))

  async function send(
    { bytes, maxTokens, end, afterMs }: Send,
    tag: string,
  ): Promise<Answer | 'left'> {
    const client = clients[bytes % clients.length] as TestClient
    const leaving = new AbortController()
    if (end === 'leave') setTimeout(() => leaving.abort(), afterMs)
    const message = `${tag} ${'x'.repeat(bytes)}`
    const wait_seconds = end === 'cancel' ? afterMs / 1000 : 60
    const args = { message, tag, max_tokens: maxTokens, wait_seconds }
    try {
      const answer = await client.call('send_message', args, { signal: leaving.signal })
      const { status, message_id } = answer.structured.data ?? {}
      return status === 'running' ? client.call('cancel_message', { message_id }) : answer
    } catch (error) {
      if (leaving.signal.aborted) return 'left'
      throw error
    }
  }

  /** Looks every few milliseconds until told to stop. */
  async function watch(isOver: () => boolean): Promise<Spending[]> {
    const seen: Spending[] = []
    while (!isOver()) {
      seen.push(...(await spending()))
      await pause(3)
    }
    return seen
  }

  async function sendAll(
    plans: Send[][],
    faults: Fault[],
  ): Promise<{ sent: Sent[]; seen: Spending[] }> {
    app.claude.script(...faults)
    let isOver = false
    const watching = watch(() => isOver)
    try {
      const sent = await Promise.all(plans.map(sendInTurn))
      await untilSettled(app)
      isOver = true
      return { sent: sent.flat(), seen: await watching }
    } finally {
      isOver = true
    }
  }

  async function sendInTurn(plan: Send[], sender: number): Promise<Sent[]> {
    const sent: Sent[] = []
    for (const [index, one] of plan.entries()) {
      const tag = `sender-${sender}-${index}`
      sent.push({ ...one, tag, answer: await send(one, tag) })
    }
    return sent
  }

  test('the limit holds at every instant, and ledger, answers and bill agree', async () => {
    const times = (count: number) => ({ minLength: count, maxLength: count })
    const plans = fc.array(fc.array(anySend, times(each)), times(senders))
    const everything = fc.asyncProperty(
      fc.noBias(plans),
      anyTrouble(senders),
      async (plan, script) => {
        const { sent, seen } = await sendAll(plan, script)
        expect(seen.length).toBeGreaterThan(10)
        for (const row of seen) expectWithin(limit, row)
        const rows = await app.app.repositories.ledger.list(ALL_DAYS, '0', 10_000)
        expectSettled(await spending(), rows)
        expectBooked(rows, billedByTag(app))
        expectTold(sent, rows)
        expect(totalOf(billedByTag(app))).toEqual(app.claude.billed(user.apiKey))
        expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
        expectNotVacuous(sent, rows)
      },
    )
    // One run: it is the interleaving that is random, and a failing one cannot be shrunk.
    await fc.assert(everything, { numRuns: 1, endOnFailure: true })
  })
})

/** Makes the database itself refuse to commit what goes beyond the limit, or below nothing. */
const holdLimit = ({ nanoUsd, tokens }: { nanoUsd: bigint; tokens: number }) => `
  create function hold_limit() returns trigger language plpgsql as $$
  declare
    now spending%rowtype;
  begin
    select * into now from spending
    where user_id = new.user_id and period = new.period and starts_on = new.starts_on;
    if (now.period = 'day' and now.spent_tokens + now.reserved_tokens > ${tokens})
      or (now.period = 'month' and now.spent_nano_usd + now.reserved_nano_usd > ${nanoUsd})
      or now.reserved_tokens < 0 or now.reserved_nano_usd < 0
    then
      raise exception 'the budget does not hold: %', now;
    end if;
    return null;
  end $$;
  create constraint trigger hold_limit after insert or update on spending
  deferrable initially deferred for each row execute function hold_limit()`

function expectWithin(limit: { nanoUsd: bigint; tokens: number }, row: Spending): void {
  const taken =
    row.period === 'day'
      ? BigInt(row.spent.tokens + row.reserved.tokens)
      : row.spent.nanoUsd + row.reserved.nanoUsd
  const most = row.period === 'day' ? BigInt(limit.tokens) : limit.nanoUsd
  expect(taken, inspect(row)).toBeLessThanOrEqual(most)
}

/** Nothing is left reserved, and what is spent is what the ledger says. */
function expectSettled(spending: Spending[], rows: LedgerRow[]): void {
  const nanoUsd = rows.reduce((sum, row) => sum + BigInt(row.costNanoUsd ?? 0), 0n)
  const tokens = rows.reduce((sum, row) => sum + allInput(row) + row.outputTokens, 0)
  expect(spending).toHaveLength(2)
  for (const row of spending) {
    expect(row.reserved).toEqual({ nanoUsd: 0n, tokens: 0 })
    expect(row.spent).toEqual({ nanoUsd, tokens })
  }
}

/** Every billed call has one row, exact or marked as an estimate, and nothing else has one unmarked. */
function expectBooked(rows: LedgerRow[], billed: Map<string, Billed>): void {
  const byTag = new Map(rows.map((row) => [row.tag, row]))
  expect(byTag.size).toBe(rows.length)
  expect([...billed.keys()].filter((tag) => !byTag.has(tag))).toEqual([])
  for (const row of rows.filter(({ estimated }) => estimated === null)) {
    expect({
      calls: 1,
      inputTokens: row.inputTokens,
      cacheCreationInputTokens: row.cacheWrite5mTokens + row.cacheWrite1hTokens,
      cacheReadInputTokens: row.cacheReadTokens,
      outputTokens: row.outputTokens,
      nanoUsd: Number(row.costNanoUsd),
    }).toEqual(billed.get(row.tag ?? ''))
  }
  for (const row of rows) {
    const { nanoUsd = 0 } = billed.get(row.tag ?? '') ?? {}
    expect(Number(row.costNanoUsd)).toBeGreaterThanOrEqual(nanoUsd)
  }
}

/** What callers were told is what was booked; who was told of an error that costs nothing paid nothing. */
function expectTold(sent: Sent[], rows: LedgerRow[]): void {
  for (const { tag, answer } of sent) {
    const row = rows.find((candidate) => candidate.tag === tag)
    if (answer === 'left') continue
    const { data, error } = answer.structured
    if (data?.usage) {
      expect(data.usage).toMatchObject({
        input_tokens: row ? allInput(row) : 0,
        output_tokens: row?.outputTokens ?? 0,
      })
      expect(data.cost_usd).toBe(row ? Number(row.costNanoUsd) / 1e9 : 0)
    }
    if (error) expect(EXPECTED_ERRORS).toContain(error.code)
    if (error?.code === 'budget_exceeded') expect(row).toBeUndefined()
  }
}

const EXPECTED_ERRORS = [
  'budget_exceeded',
  'cancelled',
  'overloaded',
  'upstream_unavailable',
  'upstream_invalid_request',
]

/** The run had all it was meant to have. */
function expectNotVacuous(sent: Sent[], rows: LedgerRow[]): void {
  const codes = sent.map(({ answer }) => answer !== 'left' && answer.structured.error?.code)
  const warnings = sent.flatMap(
    ({ answer }) => (answer !== 'left' && answer.structured.data?.warnings) || [],
  )
  expect(codes).toContain('budget_exceeded')
  expect(warnings.join()).toMatch(/max_tokens was lowered/)
  expect(rows.filter(({ estimated }) => estimated === null).length).toBeGreaterThan(5)
  expect(rows.filter(({ estimated }) => estimated !== null).length).toBeGreaterThan(0)
}

const allInput = (row: LedgerRow) =>
  row.inputTokens + row.cacheWrite5mTokens + row.cacheWrite1hTokens + row.cacheReadTokens

/** Each message begins with its tag. */
function billedByTag(app: TestApp): Map<string, Billed> {
  const bills = app.claude.messageRequests().flatMap(({ json, billed }) => {
    const { messages } = json as { messages: { content: { text: string }[] }[] }
    const tag = messages.at(-1)?.content[0]?.text.split(' ')[0] ?? ''
    return billed ? [[tag, billed] as const] : []
  })
  expect(new Set(bills.map(([tag]) => tag)).size, 'one bill for each message').toBe(bills.length)
  return new Map(bills)
}

function totalOf(bills: Map<string, Billed>): Billed {
  const sum = (field: keyof Billed) =>
    [...bills.values()].reduce((total, bill) => total + bill[field], 0)
  return {
    calls: sum('calls'),
    inputTokens: sum('inputTokens'),
    cacheCreationInputTokens: sum('cacheCreationInputTokens'),
    cacheReadInputTokens: sum('cacheReadInputTokens'),
    outputTokens: sum('outputTokens'),
    nanoUsd: sum('nanoUsd'),
  }
}
