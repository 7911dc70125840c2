import { APIConnectionError, APIConnectionTimeoutError, APIError } from '@anthropic-ai/sdk'
import { AppError, type ErrorCode } from '../errors.ts'
import { MODELS } from './models.ts'
import { isSpent, retryAfterMs } from './retry.ts'
import type { Stop } from './watch.ts'

const MAX_UPSTREAM_MESSAGE_CHARS = 500

/** The status each error type has when it comes as a response: an error in a stream has none. */
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

type Verdict = { code: ErrorCode; message: string }

const BY_STATUS: ReadonlyMap<number, Verdict> = new Map([
  [
    401,
    {
      code: 'upstream_key_rejected',
      message:
        'Anthropic rejected the stored API key: it is invalid, revoked or expired. ' +
        'Make a new one in the Anthropic Console and store it here.',
    },
  ],
  [
    402,
    {
      code: 'upstream_billing',
      message:
        'Anthropic could not bill the account of the stored API key. ' +
        'Check payment and credit in the Anthropic Console.',
    },
  ],
  [
    403,
    {
      code: 'upstream_forbidden',
      message:
        'The stored API key may not use this model or feature. ' +
        'Choose another model, or change the permissions of the key in the Anthropic Console.',
    },
  ],
  [
    404,
    {
      code: 'model_not_available',
      message:
        'Anthropic does not offer this model to the stored API key: it is unknown, retired or ' +
        `not enabled. Current models: ${currentModels()}.`,
    },
  ],
  [409, conflict()],
  [422, conflict()],
  [
    413,
    {
      code: 'request_too_large',
      message:
        'The conversation is larger than the 32 MB Anthropic accepts. ' +
        'Shorten the message or start a new conversation.',
    },
  ],
])

const CONTEXT_TOO_LONG: Verdict = {
  code: 'context_too_long',
  message:
    'The conversation no longer fits into the context window of the model. ' +
    'Shorten the message or start a new conversation.',
}

const SPEND_LIMIT: Verdict = {
  code: 'spend_limit',
  message:
    'The spend limit set for the account or workspace of the stored API key is reached. ' +
    'Raise it in the Anthropic Console, or wait until it resets.',
}

const SPEND_LIMIT_REACHED: Verdict = {
  code: 'spend_limit_reached',
  message:
    'The account of the stored API key has reached its monthly spend limit at Anthropic. It opens ' +
    'again at 00:00 UTC on the first of next month, or sooner if the limit is raised.',
}

const RATE_LIMITED: Verdict = {
  code: 'rate_limited',
  message: 'Anthropic limits the rate of the stored API key. Wait, then try again.',
}

const UNAVAILABLE: Verdict = {
  code: 'upstream_unavailable',
  message: 'Claude could not answer just now: Anthropic reported a temporary fault. Try again.',
}

const REDIRECTED: Verdict = {
  code: 'upstream_unavailable',
  message: 'The configured Anthropic address redirects elsewhere. The operator must correct it.',
}

const INVALID_REQUEST: Verdict = {
  code: 'upstream_invalid_request',
  message: 'Anthropic refused the request as invalid; details.upstream_message says why.',
}

/**
 * What went wrong upstream, in the gateway's own words. Nothing thrown is attached as a cause:
 * upstream bodies and parser errors quote what people wrote.
 */
export function toFailure(thrown: unknown, model: string): AppError {
  if (thrown instanceof AppError) return thrown
  if (thrown instanceof APIConnectionError) return connectionFailure(thrown)
  if (thrown instanceof APIError) return apiFailure(thrown, model)
  return brokenStream()
}

/** What Anthropic's support asks for first. */
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

/** What stopping a call from this side means for its caller. */
export function stoppedFailure(stop: Stop): AppError {
  if (stop === 'cancelled') return new AppError('cancelled', 'The request was cancelled.')
  const reason = stop === 'idle' ? 'fell silent' : 'did not finish in time'
  return new AppError('upstream_timeout', `Claude ${reason}. Try again, or ask for less at once.`)
}

/** A key that cannot even be put into a request. */
export function unusableKeyFailure(): AppError {
  return new AppError('upstream_key_rejected', messageOf(401))
}

/** A refusal of the temperature itself, in the wordings of both API versions. */
export function isTemperatureRefusal(thrown: unknown): boolean {
  return (
    thrown instanceof APIError &&
    thrown.status === 400 &&
    /temperature.*(deprecated|extra inputs)/i.test(thrown.apiMessage ?? '')
  )
}

function apiFailure(error: APIError, model: string): AppError {
  const status = error.status ?? STATUS_OF_TYPE.get(error.type ?? '') ?? 500
  const { code, message } = judge(status, error)
  const waitMs = retryAfterMs(error.headers)
  return new AppError(code, message, {
    ...(waitMs === null ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) }),
    details: {
      request_id: error.requestID ?? null,
      upstream_status: error.status ?? null,
      upstream_type: error.type,
      ...(error.errorCode === null ? {} : { upstream_error_code: error.errorCode }),
      ...(code === 'model_not_available' ? { model } : {}),
      ...(code === 'upstream_invalid_request'
        ? { upstream_message: error.apiMessage?.slice(0, MAX_UPSTREAM_MESSAGE_CHARS) ?? null }
        : {}),
    },
  })
}

function judge(status: number, error: APIError): Verdict {
  if (isSpent(error.errorCode)) return SPEND_LIMIT_REACHED
  if (status === 429) return RATE_LIMITED
  if (status === 400) return judgeInvalidRequest(error.apiMessage ?? '')
  if (status >= 500 || status === 408) return UNAVAILABLE
  if (status < 400) return REDIRECTED
  return BY_STATUS.get(status) ?? INVALID_REQUEST
}

/** One status covers these; only the text tells them apart (Anthropic API docs: Errors). */
function judgeInvalidRequest(text: string): Verdict {
  if (/prompt is too long|exceeds? context limit/i.test(text)) return CONTEXT_TOO_LONG
  if (/reached your specified (workspace )?API usage limits/i.test(text)) return SPEND_LIMIT
  if (/credit balance is too low/i.test(text)) {
    return { code: 'upstream_billing', message: messageOf(402) }
  }
  return INVALID_REQUEST
}

function connectionFailure(error: APIConnectionError): AppError {
  if (error instanceof APIConnectionTimeoutError) return stoppedFailure('deadline')
  return new AppError(
    'upstream_unavailable',
    'Anthropic could not be reached from the gateway. Try again in a moment.',
    { details: { network_error: networkCode(error) } },
  )
}

/** The system's name for a network fault (`ECONNREFUSED`), which undici wraps twice. */
function networkCode(error: Error): string | null {
  let cause: unknown = error
  while (cause instanceof Error) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code
    cause = cause.cause
  }
  return null
}

function conflict(): Verdict {
  return {
    code: 'upstream_conflict',
    message: 'Anthropic reports a conflict with another request. Try again in a moment.',
  }
}

function messageOf(status: number): string {
  return BY_STATUS.get(status)?.message ?? UNAVAILABLE.message
}

function currentModels(): string {
  return MODELS.filter(({ lifecycle }) => lifecycle === 'active')
    .slice(0, 5)
    .map(({ id }) => id)
    .join(', ')
}
