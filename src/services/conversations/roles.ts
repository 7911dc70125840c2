/** What a role in a conversation does not include. */

import { AppError } from '../../errors.ts'
import type { ConversationRole } from '../../repositories/access/conversation-access.ts'

/** @param field the argument that needs the larger role. */
export const roleTooSmall = (own: ConversationRole, needed: ConversationRole, field?: string) =>
  new AppError(
    'forbidden',
    `You are a ${own} of this conversation, and ${field ? `\`${field}\`` : 'this'} needs its ${needed}. Ask the owner, or continue in a copy of your own.`,
    { details: { role: own, needed, ...(field && { field }) } },
  )
