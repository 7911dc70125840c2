/** Errors in the shape of Anthropic's API, whose clients decide by it whether to try again. */

import type { Response } from 'express'
import type { AppError, ErrorCode } from '../../errors.ts'

type Told = { status: number; type: string; isFinal: boolean }

const final = (status: number, type: string): Told => ({ status, type, isFinal: true })
const passing = (status: number, type: string): Told => ({ status, type, isFinal: false })

const INVALID = final(400, 'invalid_request_error')
const FORBIDDEN = final(403, 'permission_error')
const AWAY = passing(503, 'api_error')

/** Codes that are not listed do not occur on these addresses. */
const BY_CODE: Partial<Record<ErrorCode, Told>> = {
  invalid_input: INVALID,
  model_price_unknown: INVALID,
  policy_blocked: final(400, 'policy_blocked'),
  unauthenticated: final(401, 'authentication_error'),
  budget_exceeded: final(402, 'billing_error'),
  forbidden: FORBIDDEN,
  insufficient_scope: FORBIDDEN,
  api_key_missing: FORBIDDEN,
  team_key_missing: FORBIDDEN,
  payer_required: FORBIDDEN,
  upstream_key_rejected: FORBIDDEN,
  not_found: final(404, 'not_found_error'),
  method_not_allowed: final(405, 'invalid_request_error'),
  request_too_large: final(413, 'request_too_large'),
  rate_limited: passing(429, 'rate_limit_error'),
  overloaded: passing(529, 'overloaded_error'),
  database_unavailable: AWAY,
  shutting_down: AWAY,
  interrupted: AWAY,
  upstream_unavailable: passing(502, 'api_error'),
  upstream_timeout: passing(504, 'timeout_error'),
}

const INTERNAL = passing(500, 'api_error')

/** A fault on the way to Anthropic that only its operator can mend is final. */
function toldOf({ code, retryable }: AppError): Told {
  const told = BY_CODE[code] ?? INTERNAL
  return code === 'upstream_unavailable' && !retryable ? { ...told, isFinal: true } : told
}

/** The body, and the data of an `error` event. */
export function apiErrorBody(error: AppError, requestId: string): string {
  const { type } = toldOf(error)
  return JSON.stringify({
    type: 'error',
    error: { type, message: error.message },
    request_id: requestId,
  })
}

/** @param requestId the gateway's own, unless the error has Anthropic's in its details. */
export function sendApiError(res: Response, error: AppError, requestId: string): void {
  const { status, isFinal } = toldOf(error)
  const { request_id: upstreamId } = error.details ?? {}
  const id = typeof upstreamId === 'string' ? upstreamId : requestId
  res.setHeader('request-id', id)
  if (isFinal) res.setHeader('x-should-retry', 'false')
  if (error.retryAfterSeconds !== undefined && !isFinal) {
    res.setHeader('retry-after', error.retryAfterSeconds)
  }
  res.status(status).type('json').send(apiErrorBody(error, id))
}
