import type { APIError } from '@anthropic-ai/sdk/core/error'
import type { ErrorCode } from '../../errors.ts'
import { MODELS } from '../models.ts'
import { isSpent } from './retry.ts'

/** An error code of the gateway, and what the reader can do about it; `onPages`: on a page. */
type Verdict = { code: ErrorCode; message: string; onPages?: string }

export const KEY_REJECTED: Verdict = {
  code: 'upstream_key_rejected',
  message:
    'Anthropic rejected the stored API key: it is invalid, revoked or expired. ' +
    'Make a new one in the Anthropic Console and store it with update_api_key.',
  onPages:
    'Anthropic rejected the stored API key: it is invalid, revoked or expired. ' +
    'Make a new one in the Anthropic Console and enter it at /account/key, or a team’s on its page.',
}

const BILLING: Verdict = {
  code: 'upstream_billing',
  message:
    'Anthropic could not bill the account of the stored API key. ' +
    'Check payment and credit in the Anthropic Console.',
}

const CONFLICT: Verdict = {
  code: 'upstream_conflict',
  message: 'Anthropic reports a conflict with another request. Try again shortly.',
}

const BY_STATUS: ReadonlyMap<number, Verdict> = new Map([
  [401, KEY_REJECTED],
  [402, BILLING],
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
  [409, CONFLICT],
  [422, CONFLICT],
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

const INVALID_REQUEST: Verdict = {
  code: 'upstream_invalid_request',
  message: 'Anthropic refused the request as invalid; details.upstream_message says why.',
  onPages: 'Anthropic refused the request as invalid.',
}

/** @param status of the response; for an error inside a stream, the status of its type. */
export function judge(status: number, error: APIError): Verdict {
  if (isSpent(error.errorCode)) return SPEND_LIMIT_REACHED
  if (status === 429) return RATE_LIMITED
  if (status === 400) return judgeInvalidRequest(error.apiMessage ?? '')
  if (status >= 500 || status === 408) return UNAVAILABLE
  return BY_STATUS.get(status) ?? INVALID_REQUEST
}

/** All have status 400; only the text distinguishes them (Anthropic API docs: Errors). */
function judgeInvalidRequest(text: string): Verdict {
  if (/prompt is too long|exceeds? context limit/i.test(text)) return CONTEXT_TOO_LONG
  if (/reached your specified (workspace )?API usage limits/i.test(text)) return SPEND_LIMIT
  if (/credit balance is too low/i.test(text)) return BILLING
  return INVALID_REQUEST
}

function currentModels(): string {
  return MODELS.filter(({ lifecycle }) => lifecycle === 'active')
    .slice(0, 5)
    .map(({ id }) => id)
    .join(', ')
}
