/** Why a conversation cannot be read or continued. */

import { AppError } from '../../errors.ts'

export const conversationNotFound = () =>
  new AppError(
    'not_found',
    'You have no conversation with this id. get_conversations lists yours.',
    { details: { field: 'conversation_id' } },
  )

export const conversationBusy = () =>
  new AppError(
    'conversation_busy',
    'Claude is still answering in this conversation. Send again when that answer is there, or stop it with cancel_message.',
    { retryAfterSeconds: 2 },
  )

/** @param field the argument that names the message. */
export const notInConversation = (field: 'before' | 'message_id' | 'from_message_id') =>
  new AppError('not_found', `This conversation has no message with the id in \`${field}\`.`, {
    details: { field },
  })
