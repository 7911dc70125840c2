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

export type PayerValues = {
  teamId: string | null
  teamNameKey: string | null
  isPayerNamed: boolean
}

/** @param payer undefined: the call names none. */
export const toPayerValues = (payer: NamedPayer | undefined): PayerValues => ({
  teamId: typeof payer === 'object' && 'id' in payer ? payer.id : null,
  teamNameKey: typeof payer === 'object' && 'nameKey' in payer ? payer.nameKey : null,
  isPayerNamed: payer !== undefined,
})

/** For each row of `a` with {@link PAYER_COLUMNS}, and its conversation `c`. */
export const PURSE_COLUMN = `,
    ${purseOf(`t.id = a.team_id or t.name_key = a.team_name_key
      or not a.is_payer_named and t.id = ${payingTeam('c')}`)} as purse`

type Asked = PayerValues & { conversationId: string | null }
/** Who pays in a conversation, as read. */
type Read = { ref: { id: string }; payment: { teamId: string | null } }

export class TeamPayers {
  readonly #paid = new LRUCache<string, true>({ max: MOST_REMEMBERED })

  mayPay({ conversationId, teamId, teamNameKey, isPayerNamed }: Asked): boolean {
    if (isPayerNamed) return teamId !== null || teamNameKey !== null
    return conversationId !== null && this.#paid.has(conversationId.toLowerCase())
  }

  note({ ref, payment }: Read): void {
    if (payment.teamId === null) this.#paid.delete(ref.id)
    else this.#paid.set(ref.id, true)
  }
}
