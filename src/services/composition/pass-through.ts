import { CallService } from '../billing/calls.ts'
import { RunningCalls } from '../billing/running-calls.ts'
import { LEASE_SECONDS } from '../operations/maintenance.ts'
import { MessagesPassThrough } from '../pass-through/messages.ts'
import { OpenCalls } from '../pass-through/open-calls.ts'
import { PassThrough } from '../pass-through/pass-through.ts'
import type { ApiKeys } from './api-keys.ts'
import type { Billing } from './billing.ts'
import type { Foundation } from './foundation.ts'

export type PassingThrough = ReturnType<typeof createPassThrough>

/** The Messages API, and calls without a conversation. */
export function createPassThrough(
  foundation: Foundation,
  billing: Billing,
  { keyRejections }: ApiKeys,
) {
  const { repositories, prices, upstream, vault, watch, replicaId, publicUrl, log } = foundation
  const { budgets, budgetAlerts, orphanLimits, meteredCalls, releases, purses } = billing
  const runningCalls = new RunningCalls()
  const openCalls = new OpenCalls()
  const calls = new CallService({
    ...{ repositories, budgets, budgetAlerts, orphanLimits, prices, meteredCalls, releases },
    ...{ running: runningCalls, replicaId, leaseSeconds: LEASE_SECONDS, log },
  })
  const passThrough = new PassThrough({
    ...{ keyRejections, calls, upstream, vault, purses, openCalls, publicUrl },
  })
  const messagesApi = new MessagesPassThrough({
    ...{ passThrough, upstream, calls, purses, prices, watch, publicUrl },
  })
  return { runningCalls, openCalls, calls, passThrough, messagesApi }
}
