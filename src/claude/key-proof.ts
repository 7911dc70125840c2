import { APIError } from '@anthropic-ai/sdk/core/error'
import { AppError } from '../errors.ts'
import { ForeignAnswer } from './transport/answer-errors.ts'
import { isAboutPath, toFailure } from './transport/failure.ts'
import { isSendableKey } from './transport/transport.ts'

/**
 * Checks a key without asking Anthropic.
 *
 * @throws AppError `invalid_api_key` for an Admin API key, which cannot call Claude.
 */
export function refuseAdminKey(apiKey: string): void {
  if (!/^sk-ant-admin/i.test(apiKey)) return
  throw new AppError(
    'invalid_api_key',
    'This is an Admin API key; it cannot send messages. Use a key that begins with sk-ant-api.',
    { details: { field: 'anthropic_api_key' } },
  )
}

/** @throws AppError `invalid_api_key` also for text that no HTTP header can carry. */
export function assertPlausibleKey(apiKey: string): void {
  refuseAdminKey(apiKey)
  if (!isSendableKey(apiKey)) throw rejectedKey()
}

/** Why a key could not be proven: it is invalid, or Anthropic could not be asked. */
export function toProofFailure(thrown: unknown): AppError {
  const failure = toFailure(thrown, '')
  if (thrown instanceof ForeignAnswer || isAboutPath(thrown, '')) return failure
  if (thrown instanceof APIError && (thrown.status === 401 || thrown.status === 403)) {
    return rejectedKey()
  }
  if (failure.code === 'rate_limited') return failure
  return new AppError(
    'upstream_unavailable',
    'Anthropic could not be asked whether the API key is valid. Try again shortly.',
    { retryAfterSeconds: failure.retryAfterSeconds, details: failure.details },
  )
}

function rejectedKey(): AppError {
  return new AppError(
    'invalid_api_key',
    'Anthropic does not accept this API key. ' +
      'Copy a complete, active key (sk-ant-api...) from the Anthropic Console.',
  )
}
