/** What a role in a conversation does not include. */

import { AppError } from '../../errors.ts'
import type { ConversationRole } from '../../repositories/access/conversation-access.ts'

const NEEDS: Record<ConversationRole, string> = {
  owner: 'is for its owner alone',
  contributor: 'is for its owner and its contributors',
  viewer: 'is for those who may read it',
}

/** @param field the argument that needs the larger role. */
export const roleTooSmall = (own: ConversationRole, needed: ConversationRole, field?: string) =>
  new AppError(
    'forbidden',
    `You are a ${own} of this conversation, and ${field ? `\`${field}\`` : 'this'} ${NEEDS[needed]}. Ask the owner, or continue in a copy of your own.`,
    {
      onPages: `You are a ${own} of this conversation, and this ${NEEDS[needed]}. Ask the owner, or continue in a copy of your own.`,
      details: { role: own, needed, ...(field && { field }) },
    },
  )
