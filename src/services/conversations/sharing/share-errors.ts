/** Why a share or a link cannot be made, changed or ended. */

import { AppError } from '../../../errors.ts'
import type { ConversationRole } from '../../../repositories/access/conversation-access.ts'

export const shareNotFound = () =>
  new AppError('not_found', 'You have no share or link with this id. get_shares lists yours.', {
    onPages: 'You have no such share or link. Yours are at /account/shares and /account/links.',
    details: { field: 'share_id' },
  })

/** For one who reads it as one of everybody, or of a team: they can only hide it. */
export const shareOfMany = (conversationId: string) =>
  new AppError(
    'forbidden',
    'This share is with everybody here or with a whole team, so only the owner of the conversation ends it. To take the conversation out of your own lists, hide it: update_conversation with hidden: true.',
    {
      onPages: `This share is with everybody here or with a whole team, so only the owner of the conversation ends it. To take it out of your own lists, hide it at /account/conversations/${conversationId}.`,
      details: { field: 'share_id', conversation_id: conversationId },
    },
  )

/** For one who was given a conversation, and wants to have done with it. */
export const notOwnersShares = (role: ConversationRole) =>
  new AppError(
    'forbidden',
    `You are a ${role} of this conversation, and only its owner ends all its shares. End the share to you alone, if get_shares lists one, or hide the conversation: update_conversation with hidden: true.`,
    { details: { role, needed: 'owner' } },
  )

/** The same for a link that never was, that has ended, and that is not for its visitor. */
export const linkNotFound = () =>
  new AppError('not_found', 'This link has ended, is not for you, or never was one.')

export const nothingToShow = () =>
  new AppError(
    'invalid_input',
    'This conversation has no answer yet, so a link to it would show nothing. Send a message first.',
    { details: { field: 'conversation_id' } },
  )

export const recipientNotFound = () =>
  new AppError(
    'not_found',
    'No person and no team of this name accepts shares from you. It has to be exact.',
    { details: { field: 'with' } },
  )

export const recipientIsSelf = () =>
  new AppError(
    'invalid_input',
    'You cannot share a conversation with yourself. Name another person.',
    { details: { field: 'with' } },
  )
