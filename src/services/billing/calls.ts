/**
 * Calls without a conversation, such as those of the Messages API: admitted by the budgets, run by
 * the caller of this service, and settled. The same building block as send_message's
 * (metered-call.ts), and the same ledger.
 */

import type { PriceTable } from '../../claude/prices/prices.ts'
import { newId } from '../../crypto/random.ts'
import { AppError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { LimitSet, Reservation } from '../../repositories/billing/budgets.ts'
import type { CallContext, EndedCall } from '../../repositories/billing/calls.ts'
import { periodsAt } from '../../repositories/billing/periods.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { WhichOrphans } from '../../repositories/turns/leases.ts'
import type { Caller } from '../access/caller.ts'
import { readsContext } from '../access/read-ahead.ts'
import type { BudgetAlerts } from './alerts/budget-alerts.ts'
import type { OrphanLimits } from './alerts/orphan-limits.ts'
import { type Budgets, WARN_FROM_PERCENT } from './budgets.ts'
import {
  brokenOff,
  type CallOutcome,
  type CallRequest,
  type Forward,
  type HeldCall,
  inForm,
  nothingKnown,
  ofStop,
  type StartedCall,
} from './call.ts'
import { type Form, LastingSettlement } from './lasting-settlement.ts'
import { limitDetails } from './limit-details.ts'
import type { MeteredCalls } from './metered-call.ts'
import { OrphanCloser } from './orphan-closer.ts'
import type { Releases } from './releases.ts'
import type { RunningCalls } from './running-calls.ts'
import { toCallEntry, usageOfOrphan } from './settlement.ts'

type Deps = {
  repositories: Pick<Repositories, 'budgets' | 'calls' | 'teamBudgets'>
  budgets: Budgets
  budgetAlerts: Pick<BudgetAlerts, 'noteStop'>
  orphanLimits: Pick<OrphanLimits, 'find'>
  prices: PriceTable
  meteredCalls: MeteredCalls
  releases: Releases
  running: RunningCalls
  replicaId: string
  leaseSeconds: number
  log: Logger
}

/** The types of such a call as a metered call. */
type Passed = {
  held: HeldCall
  handle: AbortSignal
  outcome: CallOutcome
  settled: EndedCall
}

type Refused = Exclude<StartedCall, { outcome: 'held' }>

/** How long a call waits for the reservations of others; another process may release them too. */
const WAIT_MS = 10_000
const POLL_MS = 500
/** Pause between looks at calls that were asked to stop. */
const STOP_POLL_MS = 100
const STOP_WAIT_MS = 5_000

const NOUN = { one: 'a call', several: 'calls', idName: 'callId' }

export class CallService {
  readonly #deps: Deps
  readonly #lasting: LastingSettlement
  readonly #orphans: OrphanCloser<OrphanCall>

  constructor(deps: Deps) {
    const { repositories, running, log } = deps
    this.#deps = deps
    this.#lasting = new LastingSettlement({ log, noun: NOUN })
    this.#orphans = new OrphanCloser({
      list: (inHand, which) => repositories.calls.listOrphans(inHand, which),
      inHand: () => running.ids,
      close: (orphan) => this.#closeOrphan(orphan),
      log,
      noun: NOUN,
    })
  }

  /**
   * Reads what {@link start} needs, and the user's sealed API key.
   *
   * @throws AppError not_found when the account was deleted.
   */
  async context(caller: Pick<Caller, 'userId' | 'sessionId' | 'readAhead'>): Promise<CallContext> {
    const ahead = caller.readAhead?.take(readsContext(undefined, 'session'))
    if (ahead) return ahead
    const context = await this.#deps.repositories.calls.findContext(caller)
    if (context === undefined) throw new AppError('not_found', 'This account has been deleted.')
    return context
  }

  /**
   * Admits the call and runs it. In this order: its worst case is narrowed, if that can be done and
   * there is no room for all of it; it is held with all the output that it asks for;
   * else with as much as fits, if that is at least `leastTokens`; else, if only the reservations of
   * other calls are in the way, it waits up to 10 seconds for them; else it is refused.
   *
   * @param signal ends the wait, and then the call.
   * @throws AppError model_price_unknown under a limit in USD, shutting_down; nothing runs then.
   */
  async start(
    caller: Pick<Caller, 'userId' | 'sessionId'>,
    context: Pick<CallContext, 'limits' | 'connection'>,
    request: CallRequest,
    forward: Forward,
    signal: AbortSignal,
  ): Promise<StartedCall> {
    this.#deps.running.refuseWhenStopping()
    let settled: Promise<EndedCall> | undefined
    const reserve = () => this.#reserve(caller, context, request, signal)
    try {
      const call = await this.#deps.meteredCalls.start<Passed>(reserve, {
        track: (held, work) => {
          settled = this.#track(held, work, signal)
        },
        run: forward,
        failed: brokenOff,
        settle: (held, outcome, stopped) => this.#settle(held, ofStop(outcome, stopped.reason)),
      })
      return { outcome: 'held', call, settled: settled as unknown as Promise<EndedCall> }
    } catch (error) {
      if (error instanceof NotHeld) return error.refused
      throw error
    }
  }

  /** Renews the leases of this process's calls, and stops those for which that was requested. */
  async renewLeases(): Promise<void> {
    const { repositories, running, replicaId, leaseSeconds } = this.#deps
    const { ids } = running
    if (ids.length === 0) return
    for (const id of await repositories.calls.renew(replicaId, ids, leaseSeconds))
      running.cancel(id)
  }

  /** Closes calls whose process died, each with the most that it may have cost. */
  closeOrphans(which: WhichOrphans, signal?: AbortSignal): Promise<number> {
    return this.#orphans.close(which, signal)
  }

  /** Stops all calls of an account that is being deleted, and waits briefly for their ends. */
  async stopAll(userId: string): Promise<void> {
    const { calls } = this.#deps.repositories
    const until = performance.now() + STOP_WAIT_MS
    while (performance.now() < until) {
      const ids = await calls.requestCancel(userId)
      if (ids.length === 0) return
      for (const id of ids) this.#deps.running.cancel(id)
      await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS))
    }
  }

  /** Until it is settled the call is known to this process; `signal` is its caller's. */
  #track(
    { callId }: HeldCall,
    work: (signal: AbortSignal) => Promise<EndedCall>,
    signal: AbortSignal,
  ): Promise<EndedCall> {
    const controller = new AbortController()
    const abort = () => controller.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    return this.#deps.running
      .add(callId, { controller }, () => work(controller.signal))
      .finally(() => signal.removeEventListener('abort', abort))
  }

  async #reserve(
    caller: Pick<Caller, 'userId' | 'sessionId'>,
    context: Pick<CallContext, 'limits' | 'connection'>,
    request: CallRequest,
    signal: AbortSignal,
  ): Promise<HeldCall> {
    const { purse } = request.payer
    const limits = this.#deps.budgets.limitsOf(context, purse?.limits)
    const payerId = purse?.teamId ?? caller.userId
    if (request.narrow !== undefined) {
      const begun = await this.#begin(caller, context, request, limits, true)
      if ('callId' in begun) return begun
      if (!isWithoutRoom(begun)) throw new NotHeld(begun)
    }
    const worst = (await request.narrow?.(signal)) ?? request.worst
    const until = performance.now() + WAIT_MS
    for (;;) {
      const begun = await this.#begin(caller, context, { ...request, worst }, limits)
      if ('callId' in begun) return begun
      const leftMs = until - performance.now()
      const isOver = leftMs <= 0 || signal.aborted || this.#deps.running.isStopping
      if (begun.outcome !== 'held_by_others' || isOver) throw new NotHeld(begun)
      await this.#deps.releases.wait(payerId, Math.min(leftMs, POLL_MS), signal)
    }
  }

  /** @param isTrial whether it is held whole or not at all, and a refusal is not yet the last word. */
  async #begin(
    { userId, sessionId }: Pick<Caller, 'userId' | 'sessionId'>,
    { connection }: Pick<CallContext, 'connection'>,
    { source, model, worst, labels, payer: { lastFour: keyLastFour, purse } }: CallRequest,
    limits: LimitSet,
    isTrial = false,
  ): Promise<HeldCall | Refused> {
    const { repositories, budgets, budgetAlerts, replicaId, leaseSeconds } = this.#deps
    const team = purse && { teamId: purse.teamId, keyId: purse.keyId }
    const callId = newId()
    const now = new Date()
    const periods = periodsAt(now)
    const isCapped = connection !== null
    const begun = await repositories.calls.begin({
      userId,
      sessionId,
      isCapped,
      callId,
      source,
      model,
      keyLastFour,
      replicaId,
      leaseSeconds,
      periods,
      limits,
      worst: budgets.costOf(worst, limits, isTrial),
      ...labels,
      ...(team && { team }),
    })
    if (begun.outcome === 'session_ended' || begun.outcome === 'payer_gone') return begun
    if (begun.outcome !== 'begun') {
      const { outcome, limited } = begun
      const who = { userId, sessionId, teamId: team?.teamId }
      if (outcome === 'spent' && !isTrial)
        await budgetAlerts.noteStop({ ...who, limited, limits, at: now })
      const limit = await limitDetails(repositories, who, limited, limits, now)
      return { outcome: outcome === 'held' ? 'held_by_others' : 'spent', limit }
    }
    const { maxTokens, nanoUsd, tokens } = begun
    const amount = { nanoUsd, tokens, likelyInputTokens: worst.inputTokens, maxTokens }
    const session = { sessionId, isConnection: isCapped }
    const reservation: Reservation = { ...amount, ...session, ...periods, ...(team && { team }) }
    const held = { callId, userId, maxTokens, limits, startedAt: performance.now() }
    return { reservation, model: { id: model }, tag: labels.tag, ...held }
  }

  async #settle(call: HeldCall, outcome: CallOutcome): Promise<EndedCall> {
    const msTotal = performance.now() - call.startedAt
    const write = (form: Form) => this.#end(call, inForm(outcome, form, call), msTotal)
    const ended = await this.#lasting.write(call.callId, write)
    // Settled before: the acknowledgement of it was lost, or another process has closed it.
    return ended ?? { used: {}, isAskerLive: true }
  }

  #end(call: HeldCall, outcome: CallOutcome, msTotal: number) {
    const { status, stopReason, speed, geo, tier, webSearches, msToFirstByte } = outcome
    const { ledgerRow, spent, iterations } = toCallEntry(call, outcome, this.#deps.prices)
    return this.#deps.repositories.calls.end({
      callId: call.callId,
      userId: call.userId,
      model: outcome.model,
      requestId: outcome.requestId,
      reservation: call.reservation,
      limits: call.limits,
      leastPercent: WARN_FROM_PERCENT,
      ledgerRow,
      spent,
      end: {
        status,
        stopReason,
        speed,
        geo,
        tier,
        webSearches,
        iterations,
        msToFirstByte,
        msTotal,
      },
    })
  }

  async #closeOrphan({ id, ageMs, model, ...orphan }: OrphanCall): Promise<void> {
    const limits = await this.#deps.orphanLimits.find(orphan.userId, orphan.reservation)
    const call = {
      ...{ callId: id, userId: orphan.userId, model: { id: model }, tag: orphan.tag },
      ...{ reservation: orphan.reservation, limits, maxTokens: 0, startedAt: 0 },
    }
    const usage = usageOfOrphan(orphan.reservation, ageMs, true)
    const outcome = { ...nothingKnown(model), usage, usageEstimated: 'process_died' as const }
    const ended = await this.#end(call, { ...outcome, status: 'interrupted' }, ageMs)
    if (!ended) throw new AppError('interrupted', 'This call has been closed meanwhile.')
  }
}

const isWithoutRoom = ({ outcome }: Refused) => outcome === 'spent' || outcome === 'held_by_others'

type OrphanCall = Awaited<ReturnType<Repositories['calls']['listOrphans']>>[number]

/** Carries a refusal out of the metered call, in which nothing has run then. */
class NotHeld extends Error {
  override readonly name = 'NotHeld'
  readonly refused: Refused

  constructor(refused: Refused) {
    super(refused.outcome)
    this.refused = refused
  }
}
