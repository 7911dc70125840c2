import { APIConnectionError, APIConnectionTimeoutError } from '@anthropic-ai/sdk/core/error'
import { tunnelFailureOf } from '../../network/outgoing.ts'
import { ForeignAnswer, ProxyAway } from './answer-errors.ts'

/**
 * The SDK's error for an exchange that got no answer. A proxy's own response to CONNECT is a
 * {@link ForeignAnswer} too.
 */
export function connectionError(thrown: unknown, isProxied: boolean): Error {
  const failure = isProxied ? tunnelFailureOf(thrown) : undefined
  if (failure === undefined) return toConnectionError(thrown)
  if ('code' in failure) return new ProxyAway({ cause: thrown as Error })
  return new ForeignAnswer(failure.status, undefined, undefined, new Headers())
}

function toConnectionError(thrown: unknown): Error {
  const cause = thrown instanceof Error ? thrown : undefined
  const isTimeout = cause !== undefined && 'code' in cause && /TIMEOUT/.test(String(cause.code))
  return isTimeout ? new APIConnectionTimeoutError() : new APIConnectionError({ cause })
}
