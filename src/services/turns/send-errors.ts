/** Errors of a send, as its caller gets them. */

import type { ClaudeOutcome } from '../../claude/client.ts'
import { AppError, toAppError, withDetails } from '../../errors.ts'
import { INTERRUPTED } from '../billing/running-calls.ts'
import type { Generated } from './generate-answer.ts'
import { emptyReceipt, type SendResult } from './receipt.ts'
import type { StartedTurn } from './turn.ts'

export const deliveredText = (outcome: ClaudeOutcome) =>
  outcome.status === 'refused' ? '' : outcome.text

export function runningResult(turn: StartedTurn, textSoFar: string): SendResult {
  const row = { ...turn, id: turn.answerId, status: 'running' as const, model: turn.model.id }
  const { sender, paidBy } = turn
  return { ...emptyReceipt(row), sender, paidBy, content: textSoFar, replayed: false }
}

export const keptForLater = (turn: StartedTurn) =>
  new AppError(
    'database_unavailable',
    'Claude has answered, but the database cannot store it now. The answer is kept and will be stored: call get_message with this message_id later instead of sending again.',
    {
      onPages:
        'Claude has answered, but the database cannot store it now. The answer is kept and will be stored: look at the page of the conversation later instead of sending again.',
      retryAfterSeconds: 10,
      details: { conversation_id: turn.conversationId, message_id: turn.answerId },
    },
  )

/** Why there is no answer, with the ids that are needed to find the turn again. */
export function toSendError({ turn, outcome }: Generated, signal: AbortSignal): AppError {
  const isKeySpent = turn.hasIdempotencyKey && outcome.usage !== null
  const error =
    signal.reason === INTERRUPTED
      ? stoppedDuring(isKeySpent)
      : ofPayer(outcome.error ?? toAppError(undefined), turn)
  return withDetails(error, {
    request_id: outcome.requestId,
    conversation_id: turn.conversationId,
    message_id: turn.answerId,
  })
}

/** A member who is told of a rejected key would otherwise replace their own. */
function ofPayer(error: AppError, { paidBy }: StartedTurn): AppError {
  if (error.code !== 'upstream_key_rejected' || paidBy?.kind !== 'team') return error
  const { details } = error
  return new AppError(
    error.code,
    `Anthropic rejected the key of the team ${paidBy.team}: it is invalid, revoked or expired. An owner of the team can enter a new one: Money on its page, below /account/teams.`,
    details && { details },
  )
}

/** A key whose call was billed is used up: a repeat gets this end again. */
function stoppedDuring(isKeySpent: boolean): AppError {
  const again = isKeySpent ? 'Send again with a new idempotency_key.' : 'Send again.'
  const what = 'The gateway was stopped during this answer.'
  const onPages = `${what} Send again.`
  return new AppError('interrupted', `${what} ${again}`, { onPages, retryable: !isKeySpent })
}
