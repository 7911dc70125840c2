/** `POST /v1/messages` as it passes through: held, forwarded, metered and settled. */

import { AnswerMeter } from '../../claude/pass-through/answer-meter.ts'
import { type Bill, billOf } from '../../claude/pass-through/bill.ts'
import {
  gainsByCount,
  holdBoundOf,
  likelyInputTokens,
} from '../../claude/pass-through/hold-bound.ts'
import { withMaxTokens } from '../../claude/pass-through/read-request.ts'
import type { RequestFacts } from '../../claude/pass-through/request-facts.ts'
import type { Upstream } from '../../claude/pass-through/upstream.ts'
import type { PriceTable } from '../../claude/prices/prices.ts'
import { addUsage, UNKNOWN_RATE } from '../../claude/prices/usage.ts'
import { AppError, toAppError } from '../../errors.ts'
import type { Caller } from '../access/caller.ts'
import type { SessionWatch } from '../access/session-watch.ts'
import type { CallOutcome, HeldCall, StartedCall } from '../billing/call.ts'
import type { CallService } from '../billing/calls.ts'
import { INTERRUPTED } from '../billing/running-calls.ts'
import type { OpenedPurse, TeamPurses } from '../billing/teams/team-purses.ts'
import type { ClientAnswer, IncomingCall } from './client-side.ts'
import { labelsOf } from './labels.ts'
import { type OpenedKey, type PassThrough, refuseIdsOfOthers } from './pass-through.ts'
import { payerChanging } from './payer-errors.ts'
import { countPrompt } from './prompt-count.ts'
import { callRefused, sessionOver } from './refusals.ts'
import type { RelayEnd } from './relay.ts'

type Deps = {
  passThrough: PassThrough
  upstream: Upstream
  calls: CallService
  purses: Pick<TeamPurses, 'owners'>
  prices: PriceTable
  watch: SessionWatch
  /** Without a trailing slash. */
  publicUrl: string
}

/** Tries while the team that pays changes. */
const MAX_PAYER_TRIES = 3

type Sending = { caller: Caller; call: IncomingCall; answer: ClientAnswer; facts: RequestFacts }

export class MessagesPassThrough {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Resolves when the exchange has ended and is booked.
   *
   * @throws AppError before anything was sent: for a body that cannot be read, a model that the
   *   token may not use, a missing key, a budget without room, and while the gateway stops.
   */
  async send(caller: Caller, call: IncomingCall, answer: ClientAnswer): Promise<void> {
    const facts = await this.#deps.passThrough.read(caller, call, 'messages')
    const sending = { caller, call, answer, facts }
    for (let tries = 1; tries <= MAX_PAYER_TRIES; tries++) {
      const { started, purse } = await this.#start(sending)
      if (started.outcome === 'held') return void (await started.settled)
      if (started.outcome !== 'payer_gone') throw await this.#refusal(started, purse)
    }
    throw payerChanging()
  }

  async #start(
    sending: Sending,
  ): Promise<{ started: StartedCall; purse: OpenedPurse | undefined }> {
    const { passThrough, calls, prices } = this.#deps
    const { caller, call, answer, facts } = sending
    const context = await calls.context(caller)
    const key = await passThrough.openKey(caller, context)
    refuseIdsOfOthers(facts, key)
    const request = {
      source: 'messages' as const,
      model: facts.model,
      worst: holdBoundOf(facts, prices, new Date()),
      narrow: gainsByCount(facts)
        ? (left: AbortSignal) => this.#narrowed(sending, key, left)
        : undefined,
      labels: labelsOf(call.rawHeaders, facts.endUserId),
      payer: key,
    }
    const forward = (held: HeldCall, stop: AbortSignal) => this.#forward(sending, key, held, stop)
    const started = await calls.start(caller, context, request, forward, answer.left)
    return { started, purse: key.purse }
  }

  /** By a free count of the whole prompt: documents would else be held for as a full window. */
  async #narrowed({ call, facts }: Sending, { apiKey }: OpenedKey, left: AbortSignal) {
    const { upstream, prices } = this.#deps
    const tokens = await countPrompt(upstream, call, facts, apiKey, left)
    return tokens === undefined ? undefined : holdBoundOf(facts, prices, new Date(), tokens)
  }

  async #refusal(
    started: Exclude<StartedCall, { outcome: 'held' | 'payer_gone' }>,
    purse: OpenedPurse | undefined,
  ): Promise<AppError> {
    const { publicUrl, purses } = this.#deps
    if (started.outcome === 'session_ended') return sessionOver(publicUrl)
    const team = purse && { name: purse.teamName, ask: await purses.owners(purse) }
    return callRefused(started, publicUrl, team)
  }

  /** Never throws: an exchange that began must be booked. */
  async #forward(
    sending: Sending,
    key: OpenedKey,
    held: HeldCall,
    stop: AbortSignal,
  ): Promise<CallOutcome> {
    const { caller, call, answer, facts } = sending
    const meter = new AnswerMeter()
    const isLowered = held.maxTokens < (facts.maxTokens?.value ?? 0)
    const headers = isLowered ? { 'x-gateway-max-tokens': String(held.maxTokens) } : undefined
    if (isLowered && call.body !== null) call.body = withMaxTokens(call.body, facts, held.maxTokens)
    const stopped = { stop, left: answer.left }
    const end = await this.#relayed(caller, stopped, (ended) =>
      this.#deps.passThrough.send(caller, call, answer, {
        ...{ key, meter, stop: ended, isStream: facts.isStream },
        ...(headers && { headers }),
      }),
    ).catch((thrown: unknown): RelayEnd => notSent(thrown, answer))
    return outcomeOf(facts, held, end, meter)
  }

  /** Ends the answer of a session that ends meanwhile, and every answer when the gateway stops. */
  async #relayed(
    caller: Caller,
    { stop, left }: { stop: AbortSignal; left: AbortSignal },
    relayed: (stop: AbortSignal) => Promise<RelayEnd>,
  ): Promise<RelayEnd> {
    const controller = new AbortController()
    // A client that leaves stops the call too, and the relay knows of that.
    const onStop = () => left.aborted || controller.abort(stopError(stop.reason))
    stop.addEventListener('abort', onStop, { once: true })
    if (stop.aborted) onStop()
    let end: RelayEnd | undefined
    try {
      await this.#deps.watch.during(caller, undefined, async ({ ended }) => {
        ended.addEventListener('abort', () => controller.abort(sessionOver(this.#deps.publicUrl)))
        end = await relayed(controller.signal)
      })
    } catch (error) {
      if (end === undefined) throw error
    } finally {
      stop.removeEventListener('abort', onStop)
    }
    return end as RelayEnd
  }
}

/** What a client is told when nothing could be sent: no connection was free, for example. */
function notSent(thrown: unknown, answer: ClientAnswer): RelayEnd {
  const error = toAppError(thrown)
  answer.fail(error)
  return { status: null, upstreamRequestId: null, error, msToFirstByte: null }
}

function outcomeOf(
  facts: RequestFacts,
  held: HeldCall,
  end: RelayEnd,
  meter: AnswerMeter,
): CallOutcome {
  const progress = meter.progress()
  const { report } = progress
  const bill = billOf(
    {
      model: facts.model,
      maxTokens: held.maxTokens,
      likelyInputTokens: likelyInputTokens(facts),
      cacheWrites: facts.cacheWrites,
      isStream: facts.isStream,
    },
    progress,
  )
  return {
    usage: bill === null ? null : usageOf(bill),
    usageEstimated: bill?.isEstimated ? estimateReason(end) : null,
    rate: bill?.rate ?? UNKNOWN_RATE,
    model: report.model ?? facts.model,
    requestId: end.upstreamRequestId,
    stopReason: report.stopReason,
    ...report.served,
    status: statusOf(end, report.stopReason, meter.errorType),
    webSearches: bill?.webSearches ?? 0,
    iterations: bill === null ? null : iterationsOf(bill),
    msToFirstByte: end.msToFirstByte,
  }
}

const usageOf = ({ charges }: Bill) => charges.map(({ usage }) => usage).reduce(addUsage)

const iterationsOf = ({ charges, rate }: Bill) =>
  charges.length < 2 ? null : charges.map((charge) => ({ ...charge, rate }))

function statusOf(
  { status, error }: RelayEnd,
  stopReason: string | null,
  errorType: string | null,
): CallOutcome['status'] {
  if (error?.code === 'cancelled') return 'cancelled'
  if (error?.code === 'interrupted') return 'interrupted'
  if (error !== null || errorType !== null || status !== 200) return 'failed'
  return stopReason === 'refusal' ? 'refused' : 'complete'
}

function estimateReason({ error }: RelayEnd): CallOutcome['usageEstimated'] {
  if (error === null) return 'usage_missing'
  if (error.code === 'cancelled') return 'stream_cancelled'
  return error.code === 'upstream_timeout' ? 'stream_timed_out' : 'stream_broken'
}

const stopError = (reason: unknown) =>
  reason === INTERRUPTED
    ? interrupted()
    : new AppError('cancelled', 'This call was stopped by its account.')

const interrupted = () =>
  new AppError('interrupted', 'The gateway is restarting. Try again in a few seconds.', {
    retryAfterSeconds: 5,
  })
