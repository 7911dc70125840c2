/** A call without a conversation: as it is asked for, held and ended. */

import { usageAtMost } from '../../claude/prices/usage-bounds.ts'
import type { LimitSet } from '../../repositories/billing/budgets.ts'
import type {
  CallContext,
  CallEnd,
  CallLabels,
  CallSource,
  EndedCall,
} from '../../repositories/billing/calls.ts'
import type { Limited } from '../../repositories/billing/reservation-values.ts'
import type { WorstCase } from './budgets.ts'
import type { Form } from './lasting-settlement.ts'
import { INTERRUPTED } from './running-calls.ts'
import type { BilledOutcome, Iteration, ReservedCall } from './settlement.ts'
import type { OpenedPurse } from './teams/team-purses.ts'

export type { CallContext, CallLabels, Iteration }

export type CallRequest = {
  source: CallSource
  model: string
  /** At the dearest model that may serve it; `leastTokens`: with less room it is not admitted. */
  worst: CallWorstCase
  /** Where a better bound can be had: asked for once, if there is no room for all of `worst`. */
  narrow?: ((signal: AbortSignal) => Promise<CallWorstCase | undefined>) | undefined
  labels: CallLabels
  payer: CallPayer
}

export type CallWorstCase = WorstCase & { leastTokens: number }

/** The key that the call is made with; `purse`: of the team that pays. */
export type CallPayer = { lastFour: string; purse?: OpenedPurse | undefined }

/** A call whose worst case is reserved; `maxTokens` may be less than it asked for. */
export type HeldCall = ReservedCall & {
  callId: string
  userId: string
  maxTokens: number
  limits: LimitSet
  startedAt: number
}

/** How a call ended. `iterations`: what each of several models did; null: one model did it all. */
export type CallOutcome = BilledOutcome &
  Omit<CallEnd, 'iterations' | 'msTotal'> & { iterations: readonly Iteration[] | null }

/** Runs a held call; the signal aborts it. Tells every outcome by returning it. */
export type Forward = (call: HeldCall, signal: AbortSignal) => Promise<CallOutcome>

/** What is left of the limit that refused a call, in nano-USD and tokens; null: no limit in it. */
export type LimitDetails = Limited & {
  limitNanoUsd: bigint | null
  limitTokens: number | null
  spentNanoUsd: bigint
  spentTokens: number
  reservedNanoUsd: bigint
  resetsAt: Date
}

export type StartedCall =
  /** `settled` resolves once its end is written, also that of a failed call. */
  | { outcome: 'held'; call: HeldCall; settled: Promise<EndedCall> }
  /** What is booked leaves no room: final until the period ends. */
  | { outcome: 'spent'; limit: LimitDetails }
  /** Only reservations of other calls were in the way, for as long as it waited. */
  | { outcome: 'held_by_others'; limit: LimitDetails }
  | { outcome: 'session_ended' }
  /** The team that was to pay has changed: its purse has to be opened again. */
  | { outcome: 'payer_gone' }

/** An end of which Anthropic has told nothing. */
export const nothingKnown = (model: string): CallOutcome => ({
  ...{ usage: null, usageEstimated: null, rate: { geo: 'unknown', isFast: false }, model },
  ...{ requestId: null, stopReason: null, speed: null, geo: null, tier: null },
  ...{ status: 'failed', webSearches: 0, iterations: null, msToFirstByte: null },
})

/** The gateway's own stops interrupt a call; its caller's cancel it. */
export const ofStop = (outcome: CallOutcome, reason: unknown): CallOutcome =>
  outcome.status === 'cancelled' && reason === INTERRUPTED
    ? { ...outcome, status: 'interrupted' }
    : outcome

/** For a `forward` that threw: whether Anthropic was reached is unknown, so the most is booked. */
export function brokenOff({ reservation, maxTokens, model, startedAt }: HeldCall): CallOutcome {
  const { likelyInputTokens: inputTokens } = reservation
  const bounds = { inputTokens, outputTokens: maxTokens, writesCache: true }
  const usage = usageAtMost(bounds, performance.now() - startedAt)
  return { ...nothingKnown(model.id), usage, usageEstimated: 'stream_broken' }
}

/** The same end in the gateway's own values, for when one of Anthropic's cannot be stored. */
export function inForm(outcome: CallOutcome, form: Form, { model }: HeldCall): CallOutcome {
  if (form === 'whole') return outcome
  const { usage, usageEstimated, rate, status, webSearches } = outcome
  const figures = { usage, usageEstimated, rate, status, webSearches }
  const iterations = form === 'plain' ? outcome.iterations : null
  return { ...nothingKnown(model.id), ...figures, iterations }
}
