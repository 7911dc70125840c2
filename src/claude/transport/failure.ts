import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
} from '@anthropic-ai/sdk/core/error'
import { AppError } from '../../errors.ts'
import { beginningOf } from '../../text/whole-text.ts'
import { ForeignAnswer, ProxyAway, UnreadableAnswer } from './answer-errors.ts'
import type { Stop } from './call-deadline.ts'
import { foreignFailure, wrongAddress } from './foreign-answers.ts'
import { retryAfterMs } from './retry.ts'
import { judge, KEY_REJECTED } from './verdicts.ts'

const MAX_UPSTREAM_MESSAGE_CHARS = 500

/** The HTTP status of each error type: an error in a stream has none. */
const STATUS_OF_TYPE: ReadonlyMap<string, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['conflict_error', 409],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
])

/**
 * Maps an upstream error to the gateway's own. The original is not attached as a cause: upstream
 * bodies and parser errors quote what users wrote.
 */
export function toFailure(thrown: unknown, model: string): AppError {
  if (thrown instanceof AppError) return thrown
  if (thrown instanceof UnreadableAnswer) return unreadableAnswer()
  if (thrown instanceof ForeignAnswer) return foreignFailure(thrown)
  if (thrown instanceof APIConnectionError) return connectionFailure(thrown)
  if (thrown instanceof APIError) return apiFailure(thrown, model)
  return brokenStream()
}

/** Anthropic's request id, for its support. */
export function requestIdOf(thrown: unknown): string | null {
  return thrown instanceof APIError ? (thrown.requestID ?? null) : null
}

/** The stream ended, or could not be read, before the answer was complete. */
export function brokenStream(): AppError {
  return new AppError(
    'upstream_unavailable',
    'The connection to Anthropic broke before the answer was complete. Try again.',
  )
}

function unreadableAnswer(): AppError {
  return new AppError(
    'upstream_unavailable',
    'Claude has answered, but something on the way has changed the form of the answer so that the ' +
      'gateway cannot read it. The operator of the gateway should check HTTPS_PROXY and ' +
      'ANTHROPIC_BASE_URL: answers must come as they are streamed.',
    { retryable: false },
  )
}

/** The error for a call that the gateway stopped. */
export function stoppedFailure(stop: Stop): AppError {
  if (stop === 'cancelled') return new AppError('cancelled', 'The request was cancelled.')
  const reason = stop === 'idle' ? 'fell silent' : 'did not finish in time'
  return new AppError('upstream_timeout', `Claude ${reason}. Try again, or ask for less at once.`)
}

/** The error for a key that no request can carry. */
export function unusableKeyFailure(): AppError {
  const { code, message, onPages } = KEY_REJECTED
  return new AppError(code, message, { onPages })
}

/** Matches the refusal of a temperature in both API versions. */
export function isTemperatureRefusal(thrown: unknown): boolean {
  return (
    thrown instanceof APIError &&
    thrown.status === 400 &&
    /temperature.*(deprecated|extra inputs)/i.test(thrown.apiMessage ?? '')
  )
}

/** Anthropic's 404 for an unknown model names the model; that for an unknown path does not. */
export function isAboutPath(thrown: unknown, model: string): boolean {
  if (!(thrown instanceof APIError) || thrown.status !== 404) return false
  const text = thrown.apiMessage ?? ''
  return !/model/i.test(text) && !(model !== '' && text.includes(model))
}

function apiFailure(error: APIError, model: string): AppError {
  const status = error.status ?? STATUS_OF_TYPE.get(error.type ?? '') ?? 500
  const { code, message, onPages } = judge(status, error)
  const waitMs = retryAfterMs(error.headers)
  const source = {
    request_id: error.requestID ?? null,
    upstream_status: error.status ?? null,
    upstream_type: error.type,
  }
  if (isAboutPath(error, model)) return wrongAddress(source)
  const said = code === 'upstream_invalid_request' ? saidIn(error) : undefined
  return new AppError(code, message, {
    onPages: said ? `${onPages} It says: ${said}` : onPages,
    ...(waitMs === null ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) }),
    details: {
      ...source,
      ...(error.errorCode === null ? {} : { upstream_error_code: error.errorCode }),
      ...(code === 'model_not_available' ? { model } : {}),
      ...(said === undefined ? {} : { upstream_message: said }),
    },
  })
}

const saidIn = ({ apiMessage }: APIError): string | null =>
  beginningOf(apiMessage ?? '', MAX_UPSTREAM_MESSAGE_CHARS) || null

function connectionFailure(error: APIConnectionError): AppError {
  if (error instanceof APIConnectionTimeoutError) return stoppedFailure('deadline')
  const code = networkCode(error)
  const details = { network_error: code }
  if (isUntrusted(code)) {
    return new AppError('upstream_unavailable', UNTRUSTED, { retryable: false, details })
  }
  const message = error instanceof ProxyAway ? PROXY_AWAY : UNREACHED
  return new AppError('upstream_unavailable', message, { details })
}

const UNREACHED = 'Anthropic could not be reached from the gateway. Try again shortly.'

const PROXY_AWAY =
  'The proxy on the way to Anthropic could not be reached. Try again shortly. If it stays so, ' +
  'the operator of the gateway should check HTTPS_PROXY (HTTP_PROXY for an http address).'

const UNTRUSTED =
  'What answered for Anthropic has no certificate that the gateway trusts. If a proxy opens TLS on ' +
  'the way, the operator of the gateway must name its certificate in NODE_EXTRA_CA_CERTS; otherwise ' +
  'check ANTHROPIC_BASE_URL and HTTPS_PROXY.'

/** Certificate errors of OpenSSL and Node. */
const isUntrusted = (code: string | null) =>
  /^(ERR_TLS_CERT|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code ?? '')

/** The system's name for a network fault (`ECONNREFUSED`), which undici wraps twice. */
function networkCode(error: Error): string | null {
  let cause: unknown = error
  while (cause instanceof Error) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code
    cause = cause.cause
  }
  return null
}
