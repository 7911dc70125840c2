import { z } from 'zod'
import type { ListedConversation } from '../../services/conversations/conversations.ts'
import { instant } from '../definitions/tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'

/** What a tool says of its argument `conversation_id`. */
export const conversationId = z.uuid(
  'must be a conversation id, as send_message or get_conversations returned it',
)

export const PAYERS = ['any', 'team_only'] as const

/** A conversation as get_conversations and update_conversation show it. */
export const conversation = {
  id: z.uuid(),
  title_is_untrusted: untrustedMark,
  title: z.string(),
  created_at: instant,
  updated_at: instant,
  message_count: z.number().int(),
  is_active: z.boolean(),
  model: z.string(),
  role: z.enum(['owner', 'contributor', 'viewer']).describe('Yours in it.'),
  owner: z.string().describe('Username of its owner.'),
  archived: z.boolean().describe('Out of your default list.'),
  shared: z.boolean().describe('Others may read it too.'),
  branched_from: z
    .object({
      conversation_id: z.uuid().nullable().describe('null: a shared conversation, by its link.'),
      position: z.number().int().describe('Of the last message that was copied.'),
    })
    .nullable()
    .describe('The conversation it is a branch of, if you may read that.'),
  payer: z
    .string()
    .nullable()
    .describe('Who pays without pay_with: sender, or team: and its name. null: not yours to know.'),
  payers: z.enum(PAYERS).nullable().describe("team_only: only that team's key may be used."),
  team: z.string().nullable().describe('The team it belongs to.'),
}

export function shownConversation(row: ListedConversation) {
  const isOthers = row.role !== 'owner'
  return {
    id: row.id,
    ...(isOthers ? { title_is_untrusted: true as const } : {}),
    title: isOthers ? untrustedText(row.title) : row.title,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    message_count: row.messageCount,
    is_active: row.isActive,
    model: row.model,
    role: row.role,
    owner: row.owner,
    archived: row.isArchived,
    shared: row.isShared,
    branched_from: row.branchedFrom && {
      conversation_id: row.branchedFrom.conversationId,
      position: row.branchedFrom.position,
    },
    payer: row.payment && payerOf(row.payment),
    payers: row.payment && (row.payment.isTeamOnly ? ('team_only' as const) : ('any' as const)),
    team: row.payment?.belongsTo ?? null,
  }
}

const payerOf = ({ team }: { team: string | null }) => (team === null ? 'sender' : `team:${team}`)
