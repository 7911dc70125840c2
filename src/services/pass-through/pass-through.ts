/** Calls to Anthropic's API that pass through the gateway with their user's stored key. */

import { AnswerMeter } from '../../claude/pass-through/answer-meter.ts'
import { requestHeaders } from '../../claude/pass-through/headers.ts'
import { JsonProblem } from '../../claude/pass-through/json-scanner.ts'
import { type Endpoint, readRequest } from '../../claude/pass-through/read-request.ts'
import type { RequestFacts } from '../../claude/pass-through/request-facts.ts'
import {
  answerOfHop,
  type Upstream,
  type UpstreamRequest,
} from '../../claude/pass-through/upstream.ts'
import { AppError } from '../../errors.ts'
import type { Caller } from '../access/caller.ts'
import type { KeyRejections } from '../api-keys/key-rejections.ts'
import type { CallContext } from '../billing/call.ts'
import type { CallService } from '../billing/calls.ts'
import type { OpenedPurse, TeamPurses } from '../billing/teams/team-purses.ts'
import type { Vault } from '../keys/vault.ts'
import type { ClientAnswer, IncomingCall } from './client-side.ts'
import type { OpenCalls } from './open-calls.ts'
import { isPayerLost, payerLost, severalPayers } from './payer-errors.ts'
import { type RelayEnd, relay } from './relay.ts'

type Deps = {
  keyRejections: Pick<KeyRejections, 'note'>
  calls: Pick<CallService, 'context'>
  upstream: Upstream
  vault: Vault
  purses: Pick<TeamPurses, 'open'>
  openCalls: OpenCalls
  /** Without a trailing slash. */
  publicUrl: string
}

/** The key of who pays, opened for one call. `purse`: of the team that does. */
export type OpenedKey = {
  apiKey: string
  lastFour: string
  wasRejected: boolean
  purse?: OpenedPurse
}

export class PassThrough {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Passes a call through that costs nothing: a list of models.
   *
   * @throws AppError before anything was sent to the client.
   */
  async forward(caller: Caller, call: IncomingCall, answer: ClientAnswer): Promise<void> {
    await this.#deps.openCalls.during(async (stop) => {
      const key = await this.openKey(caller, await this.#deps.calls.context(caller))
      await this.send(caller, call, answer, { key, stop: stop.signal, isStream: false })
    })
  }

  /** The same for a count of tokens. @throws AppError also for a body that cannot be read. */
  async count(caller: Caller, call: IncomingCall, answer: ClientAnswer): Promise<void> {
    const facts = await this.read(caller, call, 'count_tokens')
    await this.#deps.openCalls.during(async (stop) => {
      const key = await this.openKey(caller, await this.#deps.calls.context(caller))
      refuseIdsOfOthers(facts, key)
      await this.send(caller, call, answer, { key, stop: stop.signal, isStream: false })
    })
  }

  /**
   * @throws AppError invalid_input that says what is wrong with the body; policy_blocked for a model
   *   that the token may not use.
   */
  async read(caller: Caller, { body }: IncomingCall, endpoint: Endpoint): Promise<RequestFacts> {
    const facts = await readRequest(body ?? Buffer.alloc(0), endpoint).catch((error: unknown) => {
      if (!(error instanceof JsonProblem)) throw error
      throw new AppError('invalid_input', `The request body ${error.message}.`)
    })
    requireModels(caller, facts)
    return facts
  }

  /**
   * A token that may spend the money of one team is paid by it, always; every other one by its user.
   *
   * @throws AppError api_key_missing; payer_required, team_key_missing: no other payer takes
   *   its place.
   */
  async openKey(caller: Caller, context: CallContext): Promise<OpenedKey> {
    const { purses } = context
    const [teamId] = purses
    if (teamId === undefined) return this.#openOwnKey(caller, context)
    if (purses.length > 1) throw severalPayers(this.#deps.publicUrl)
    const purse = await this.#deps.purses
      .open(caller, teamId, [], context.purse)
      .catch((error: unknown) => {
        throw isPayerLost(error) ? payerLost(this.#deps.publicUrl) : error
      })
    const { credentials, lastFour, wasRejected } = purse
    return { apiKey: credentials.apiKey, lastFour, wasRejected, purse }
  }

  #openOwnKey({ userId }: Caller, { userDataKey, apiKey }: CallContext): OpenedKey {
    if (apiKey === null) throw this.#keyMissing()
    const { sealed, lastFour, rejectedAt } = apiKey
    const vault = this.#deps.vault.openUser(userId, userDataKey)
    return { apiKey: vault.openApiKey(sealed), lastFour, wasRejected: rejectedAt !== null }
  }

  /** Resolves when the exchange has ended, however it did. @throws AppError when nothing was sent. */
  async send(
    caller: Caller,
    call: IncomingCall,
    answer: ClientAnswer,
    { key, stop, isStream, meter = new AnswerMeter(), headers = {} }: Sending,
  ): Promise<RelayEnd> {
    const request = takenOut(call, key, isStream)
    const end = await relay(this.#deps.upstream, request, answer, meter, {
      headers: { 'x-accel-buffering': 'no', 'cache-control': 'no-store', ...headers },
      instead: (status, upstreamRequestId) =>
        status === 401 ? this.#keyRejected(key, upstreamRequestId) : answerOfHop(status),
      isKeyShared: key.purse !== undefined,
      onBodySent: call.onBodySent,
      stop,
    })
    // Only a hint for the account page.
    await this.#rememberKey(caller.userId, end, key).catch(() => {})
    return end
  }

  async #rememberKey(
    userId: string,
    { status }: RelayEnd,
    { wasRejected, purse }: OpenedKey,
  ): Promise<void> {
    const isRejected = status === 401
    const works = status === 200 && wasRejected
    const key = { userId, ...(purse && { team: { teamId: purse.teamId, keyId: purse.keyId } }) }
    if (isRejected || works) await this.#deps.keyRejections.note(key, isRejected)
  }

  #keyMissing(): AppError {
    const url = `${this.#deps.publicUrl}/account/key`
    return new AppError(
      'api_key_missing',
      `No Anthropic key is stored for you. Enter one at ${url}.`,
    )
  }

  #keyRejected({ purse }: OpenedKey, upstreamRequestId: string | null): AppError {
    const { publicUrl } = this.#deps
    const message = purse
      ? `Anthropic rejected the key of the team ${purse.teamName}. Its owners can enter a new one at ${publicUrl}/account/teams/${purse.teamId}/money.`
      : `Anthropic rejected the key that is stored for you. Enter a new one at ${publicUrl}/account/key.`
    return new AppError('upstream_key_rejected', message, {
      details: { request_id: upstreamRequestId },
    })
  }
}

type Sending = {
  key: OpenedKey
  stop: AbortSignal
  isStream: boolean
  meter?: AnswerMeter
  headers?: Record<string, string>
}

/**
 * Files, containers and threads belong to the workspace of a key, and everybody who uses a team's key
 * is in the same: an id could be another member's.
 *
 * @throws AppError policy_blocked.
 */
export function refuseIdsOfOthers({ namesStored }: RequestFacts, { purse }: OpenedKey): void {
  if (purse === undefined || !namesStored) return
  throw new AppError(
    'policy_blocked',
    `The team ${purse.teamName} pays with a key that its members share, so a call may not name files, containers or threads that Anthropic keeps. Send the content itself, or use a token that your own key pays for.`,
  )
}

/** The body has one owner at a time: what waits for the answer would keep it until then. */
function takenOut(call: IncomingCall, { apiKey }: OpenedKey, isStream: boolean): UpstreamRequest {
  const { method, path, body, rawHeaders } = call
  call.body = null
  return { method, path, body, isStream, headers: requestHeaders(rawHeaders, apiKey) }
}

const withoutDate = (model: string) => model.replace(/-\d{8}$/, '')

function requireModels({ allowedModels }: Caller, facts: RequestFacts): void {
  if (allowedModels === undefined) return
  const allowed = new Set(allowedModels.map(withoutDate))
  const asked = [facts.model, ...facts.otherModels]
  const refused = asked.find((model) => !allowed.has(withoutDate(model)))
  const mayUse = `It may use ${allowedModels.join(', ')}.`
  if (refused !== undefined) {
    throw new AppError('policy_blocked', `This token may not use ${refused}. ${mayUse}`)
  }
  if (!facts.hasOpenFallbacks) return
  throw new AppError(
    'policy_blocked',
    `This token may not leave the choice of fallbacks to Anthropic: name the models. ${mayUse}`,
  )
}
