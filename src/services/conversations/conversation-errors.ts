/** Why a conversation cannot be read or continued. */

import { AppError } from '../../errors.ts'

export const conversationNotFound = () =>
  new AppError(
    'not_found',
    'You have no conversation with this id. get_conversations lists yours.',
    {
      onPages: 'You have no conversation with this address. Yours are at /account/conversations.',
      details: { field: 'conversation_id' },
    },
  )

export const conversationBusy = () =>
  new AppError(
    'conversation_busy',
    'Claude is still answering in this conversation. Send again when that answer is there, or stop it with cancel_message.',
    {
      onPages:
        'Claude is still answering in this conversation. Try again when that answer is there, or stop it on the page of the conversation.',
      retryAfterSeconds: 2,
    },
  )

type NamesMessage =
  | 'before'
  | 'message_id'
  | 'from_message_id'
  | 'through_message_id'
  | 'edit_message_id'

/** @param field the argument that names the message. */
export const notInConversation = (field: NamesMessage) =>
  new AppError('not_found', `This conversation has no message with the id in \`${field}\`.`, {
    onPages: 'This conversation has no message with this address.',
    details: { field },
  })
