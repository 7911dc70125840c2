/** What a send or a call needs, read with its session: as load-turn-context.ts would. */

import { prepareRead } from '../access/caller-reads.ts'
import { SENDER_COLUMNS, SENDER_TABLES } from '../billing/sender-context.ts'
import {
  CONVERSATION_COLUMNS,
  sendableConversation,
  type TurnContext,
  type TurnContextRow,
  toTurnContext,
} from './load-turn-context.ts'

/** The conversation that it sends to; null: a new one, or none. */
export type AskedContext = { conversationId: string | null }

export const readTurnContext = prepareRead<AskedContext, TurnContextRow, TurnContext>({
  name: 'callers',
  asked: { conversationId: 'uuid' },
  columns: `${SENDER_COLUMNS},${CONVERSATION_COLUMNS}`,
  tables: `${SENDER_TABLES}
  left join ${sendableConversation('a.is_allowed')}`,
  toRead: ([row]) => row && toTurnContext(row),
})
