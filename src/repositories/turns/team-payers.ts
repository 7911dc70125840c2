/**
 * Whether the statement that reads the context of a send also reads the purse of the team that pays:
 * where the call names a team, or none, and a team is known to pay in the conversation. A send that
 * its sender pays for uses a statement that looks at no teams.
 *
 * Which conversations those are is remembered, and only spares a round trip: a purse that was not
 * read here is read by team-purses.ts.
 */

import { LRUCache } from 'lru-cache'
import { payingTeam } from '../access/conversation-access.ts'
import { purseOf } from '../teams/purse-sql.ts'
import type { TeamRef } from '../teams/teams.ts'

/** Whom a call has pay: its sender, or a team. */
export type NamedPayer = 'own' | TeamRef

/** A few MB at most. */
const MOST_REMEMBERED = 10_000

export const PAYER_COLUMNS = { teamId: 'uuid', teamNameKey: 'text', isPayerNamed: 'boolean' }

/** @param payer undefined: the call names none. */
export const toPayerValues = (payer: NamedPayer | undefined) => ({
  teamId: typeof payer === 'object' && 'id' in payer ? payer.id : null,
  teamNameKey: typeof payer === 'object' && 'nameKey' in payer ? payer.nameKey : null,
  isPayerNamed: payer !== undefined,
})

/** For each row of `a` with {@link PAYER_COLUMNS}, and its conversation `c`. */
export const PURSE_COLUMN = `,
    ${purseOf(`t.id = a.team_id or t.name_key = a.team_name_key
      or not a.is_payer_named and t.id = ${payingTeam('c')}`)} as purse`

type Asked = { conversationId?: string | null | undefined; payer: NamedPayer | undefined }

export class TeamPayers {
  readonly #paid = new LRUCache<string, true>({ max: MOST_REMEMBERED })

  mayPay({ conversationId, payer }: Asked): boolean {
    if (payer !== undefined) return payer !== 'own'
    return conversationId ? this.#paid.has(conversationId.toLowerCase()) : false
  }

  /** Who pays in a conversation, as read. */
  note({ id, payingTeamId }: { id: string | null; payingTeamId: string | null }): void {
    if (id === null) return
    if (payingTeamId === null) this.#paid.delete(id)
    else this.#paid.set(id, true)
  }
}
