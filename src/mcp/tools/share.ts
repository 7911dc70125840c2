import { z } from 'zod'
import type { ShownLink } from '../../services/conversations/sharing/links.ts'
import type { ListedShare } from '../../services/conversations/sharing/sharing.ts'
import { instant } from '../definitions/tool.ts'
import { untrustedMark, untrustedText } from '../untrusted-text.ts'

export const shareRole = z.enum(['viewer', 'contributor'])

/** A grant as get_shares lists it. */
export const share = z.object({
  share_id: z.uuid(),
  conversation_id: z.uuid(),
  title_is_untrusted: untrustedMark,
  title: z.string().nullable().describe('null for an offer that you have not accepted.'),
  owner: z.string(),
  with: z.string().nullable().describe('Username; null: the team, or everybody.'),
  team: z.string().nullable(),
  role: shareRole,
  state: z
    .enum(['active', 'pending', 'expired'])
    .describe('pending: without effect until the recipient accepts it on the account pages.'),
  created_at: instant,
  expires_at: instant.nullable(),
  hidden: z.boolean().describe('You hid it from your lists: update_conversation takes it back.'),
  from_position: z.number().int().describe('The first message that may be read; 1: all.'),
})

/** @param isOthers for a title that another user chose. */
export function shownShare(row: ListedShare, isOthers: boolean): z.input<typeof share> {
  const { title } = row
  return {
    share_id: row.id,
    conversation_id: row.conversationId,
    ...(isOthers && title !== null ? { title_is_untrusted: true as const } : {}),
    title: title !== null && isOthers ? untrustedText(title) : title,
    owner: row.owner,
    with: row.recipient,
    team: row.team,
    role: row.role,
    state: row.state,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt?.toISOString() ?? null,
    hidden: row.isHidden,
    from_position: row.fromPosition,
  }
}

/** A link as get_shares lists it: its address was shown when it was made, and is not stored. */
export const link = z.object({
  share_id: z.uuid(),
  conversation_id: z.uuid(),
  title: z.string(),
  label: z.string().nullable().describe('Your note on it.'),
  link: z
    .enum(['signed-in', 'public'])
    .describe('Who may open it: people with an account here, or everybody who has it.'),
  team: z.string().nullable().describe('Its members alone, as long as they are in it.'),
  state: z.enum(['active', 'expired']),
  created_at: instant,
  expires_at: instant,
  through_position: z.number().int().describe('The last message that it shows.'),
  views: z.number().int(),
  last_viewed_on: z.iso.date().nullable(),
})

export function shownLink(row: ShownLink): z.input<typeof link> {
  return {
    share_id: row.id,
    conversation_id: row.conversationId,
    title: row.title,
    label: row.label,
    link: row.readers,
    team: row.team,
    state: row.isExpired ? 'expired' : 'active',
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt.toISOString(),
    through_position: row.throughPosition,
    views: row.views,
    last_viewed_on: row.lastViewedOn,
  }
}
