/** Messages for responses that are not Anthropic's: which setting to check, and who should. */

import { AppError } from '../../errors.ts'
import { toLabel } from '../upstream-value.ts'
import type { ForeignAnswer } from './answer-errors.ts'
import { retryAfterMs } from './retry.ts'

const CHECK_THE_WAY =
  'The operator of the gateway should check the way there: HTTPS_PROXY, NO_PROXY, ' +
  'ANTHROPIC_BASE_URL and the firewall.'

const WRONG_ADDRESS =
  'There is no Claude at the configured address. The operator of the gateway must correct ' +
  'ANTHROPIC_BASE_URL: Anthropic itself is https://api.anthropic.com.'

/** For statuses that the operator has to resolve. */
const MESSAGES: Readonly<Record<number, string>> = {
  200: `What answered is not Claude: it sent a page or something else instead of an answer. ${CHECK_THE_WAY}`,
  404: WRONG_ADDRESS,
  407:
    'The proxy on the way to Anthropic wants to know who asks. The operator of the gateway must put ' +
    'its user and password into HTTPS_PROXY: http://user:password@host:port.',
}

/** Retryable: may pass by itself. */
const isPassing = (status: number) => status >= 500 || [408, 425, 429].includes(status)

export function foreignFailure({ status = 0, headers }: ForeignAnswer): AppError {
  const waitMs = retryAfterMs(headers)
  return new AppError(status === 413 ? 'request_too_large' : 'upstream_unavailable', say(status), {
    retryable: isPassing(status),
    ...(waitMs === null ? {} : { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) }),
    details: {
      request_id: headers?.get('request-id') ?? null,
      upstream_status: status,
      upstream_type: null,
      upstream_content_type: toLabel(headers?.get('content-type')),
    },
  })
}

/** For an error in Anthropic's format about the path, not about a model. */
export function wrongAddress(details: Record<string, unknown>): AppError {
  return new AppError('upstream_unavailable', WRONG_ADDRESS, { retryable: false, details })
}

/** Whether a status is meant for the gateway, and would mislead its client: a 304 is not. */
export const isForGateway = (status: number): boolean =>
  status === 407 || (status >= 300 && status < 400 && status !== 304)

function say(status: number): string {
  const known = MESSAGES[status]
  if (known !== undefined) return known
  if (status === 413) {
    return (
      'The conversation is larger than a proxy on the way to Anthropic accepts. ' +
      'Shorten the message or start a new conversation, or let the operator raise that limit.'
    )
  }
  if (status < 400) {
    return `The address of Anthropic leads elsewhere (${status}), and the gateway does not follow. ${CHECK_THE_WAY}`
  }
  if (isPassing(status)) {
    return `Something on the way to Anthropic answered in its place (${status}). Try again. If it stays so: ${CHECK_THE_WAY}`
  }
  return `Something on the way to Anthropic refused the request (${status}); this says nothing of the API key. ${CHECK_THE_WAY}`
}
