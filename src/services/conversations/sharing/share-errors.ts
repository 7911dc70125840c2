/** Why a share or a link cannot be made, changed or ended. */

import { AppError } from '../../../errors.ts'

export const shareNotFound = () =>
  new AppError('not_found', 'You have no share or link with this id. get_shares lists yours.', {
    onPages: 'You have no such share or link. Yours are at /account/shares and /account/links.',
    details: { field: 'share_id' },
  })

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
