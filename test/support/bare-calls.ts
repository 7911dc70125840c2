/** Calls without a conversation, for tests that make them without the Messages API. */

import type { Kysely } from 'kysely'
import { loadPriceTable } from '../../src/claude/prices/prices.ts'
import type { Usage } from '../../src/claude/prices/usage.ts'
import { newId } from '../../src/crypto/random.ts'
import type { Schema } from '../../src/database/schema.ts'
import { createLogger } from '../../src/log.ts'
import { createRepositories } from '../../src/repositories/index.ts'
import { BudgetAlerts } from '../../src/services/billing/alerts/budget-alerts.ts'
import { OrphanLimits } from '../../src/services/billing/alerts/orphan-limits.ts'
import { Budgets, type Limits } from '../../src/services/billing/budgets.ts'
import type { CallOutcome, CallRequest } from '../../src/services/billing/call.ts'
import { CallService } from '../../src/services/billing/calls.ts'
import { MeteredCalls } from '../../src/services/billing/metered-call.ts'
import { Releases } from '../../src/services/billing/releases.ts'
import { RunningCalls } from '../../src/services/billing/running-calls.ts'
import type { OpenedPurse } from '../../src/services/billing/teams/team-purses.ts'

const MODEL = 'claude-sonnet-5-5'

/** One process's service; several on one database are several replicas. */
export function callService(db: Kysely<Schema>, defaults: Limits) {
  const prices = loadPriceTable(undefined)
  const releases = new Releases()
  const running = new RunningCalls()
  const budgets = new Budgets({ defaults, unpricedModels: 'refuse' })
  const log = createLogger('silent')
  const repositories = createRepositories(db)
  const service = new CallService({
    repositories,
    budgets,
    budgetAlerts: new BudgetAlerts({ repositories, log }),
    orphanLimits: new OrphanLimits({ repositories, budgets }),
    prices,
    meteredCalls: new MeteredCalls(releases),
    releases,
    running,
    replicaId: newId(),
    leaseSeconds: 3600,
    log,
  })
  return { service, running, releases, budgets, prices }
}

/** Without a price, so that only limits in tokens count, unless `isPriced`. */
export function bareRequest(
  worst: { inputTokens: number; maxTokens: number; leastTokens?: number },
  isPriced = false,
  purse?: OpenedPurse,
): CallRequest {
  const unitPrices = loadPriceTable(undefined).dearestPrices(MODEL, worst.inputTokens, new Date())
  return {
    source: 'messages',
    model: MODEL,
    worst: { leastTokens: worst.maxTokens, ...worst, unitPrices: isPriced ? unitPrices : null },
    labels: {
      tag: 'a tag',
      client: 'claude-cli',
      sessionLabel: 'session-1',
      agentId: null,
      requestClass: null,
    },
    payer: { lastFour: '1234', purse },
  }
}

const usageOf = (inputTokens: number, outputTokens: number): Usage => ({
  inputTokens,
  outputTokens,
  cacheWrite5mTokens: 0,
  cacheWrite1hTokens: 0,
  cacheReadTokens: 0,
  thinkingTokens: 0,
})

export const bareOutcome = (
  inputTokens: number,
  outputTokens: number,
  other: Partial<CallOutcome> = {},
): CallOutcome => ({
  usage: usageOf(inputTokens, outputTokens),
  usageEstimated: null,
  rate: { geo: 'anywhere', isFast: false },
  model: MODEL,
  requestId: `req_${newId()}`,
  status: 'complete',
  stopReason: 'end_turn',
  speed: 'standard',
  geo: null,
  tier: 'standard',
  webSearches: 0,
  iterations: null,
  msToFirstByte: 3,
  ...other,
})
