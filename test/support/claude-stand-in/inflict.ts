import { ApiError } from './api-error.ts'
import type { Exchange } from './exchange.ts'
import type { Fault } from './faults.ts'

const MESSAGES: Record<number, string> = {
  401: 'invalid x-api-key',
  402: 'There is a problem with your payment method.',
  403: 'Your API key does not have permission to use the specified resource.',
  404: 'model: claude-of-the-test',
  429: "This request would exceed your organization's rate limit.",
  500: 'Internal server error',
  504: 'The request timed out.',
  529: 'Overloaded',
}

/**
 * Shows the part of a fault that precedes the first byte of an answer.
 *
 * @param latencyMs what the answer would take anyway.
 * @returns whether nothing more is to be written: the fault has answered, or the client has left.
 * @throws ApiError for a scripted error status.
 */
export async function inflict(
  fault: Fault | undefined,
  exchange: Exchange,
  latencyMs = 0,
): Promise<boolean> {
  const isThere = await exchange.wait(latencyMs + (fault?.delayMs ?? 0))
  if (!isThere) return true
  if (fault?.kind === 'drop_before_headers') exchange.destroy()
  else if (fault?.kind === 'raw') exchange.sendJson(fault.status, fault.body, fault.headers)
  else if (fault?.kind === 'status') throw scriptedError(fault)
  else return false
  return true
}

function scriptedError(fault: Extract<Fault, { kind: 'status' }>): ApiError {
  const { status, type, details, headers, retryAfter } = fault
  const message = fault.message ?? MESSAGES[status] ?? 'Scripted by the test.'
  const waiting = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
  return new ApiError(status, message, { type, details, headers: { ...waiting, ...headers } })
}
