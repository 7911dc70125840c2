/**
 * Whether the statement that reads the context of a call also reads the purse of the team that pays:
 * where the call names a team, or none, and a team is known to pay in the conversation or for the
 * session. A call that its sender pays for uses a statement that looks at no teams.
 *
 * Which conversations and sessions those are is remembered, and only spares a round trip: a purse that
 * was not read here is read by team-purses.ts.
 */

import { LRUCache } from 'lru-cache'
import { payingTeam } from '../access/conversation-access.ts'
import { type SessionProof, sessionKeyOf } from '../access/session-checks.ts'
import { purseOf } from '../teams/purse-sql.ts'
import type { TeamRef } from '../teams/teams.ts'

/** Whom a call has pay: its sender, a team, or the one team whose money its session may spend. */
export type NamedPayer = 'own' | 'session' | TeamRef

/** A few MB at most. */
const MOST_REMEMBERED = 10_000

export const PAYER_COLUMNS = {
  teamId: 'uuid',
  teamNameKey: 'text',
  isPayerNamed: 'boolean',
  isPayerOfSession: 'boolean',
}

export type PayerValues = {
  teamId: string | null
  teamNameKey: string | null
  isPayerNamed: boolean
  isPayerOfSession: boolean
}

/** @param payer undefined: the call names none. */
export const toPayerValues = (payer: NamedPayer | undefined): PayerValues => ({
  teamId: typeof payer === 'object' && 'id' in payer ? payer.id : null,
  teamNameKey: typeof payer === 'object' && 'nameKey' in payer ? payer.nameKey : null,
  isPayerNamed: payer !== undefined,
  isPayerOfSession: payer === 'session',
})

/** For each row of `a` with {@link PAYER_COLUMNS}, its session `s` and its conversation `c`. */
export const PURSE_COLUMN = `,
    ${purseOf(`t.id = a.team_id or t.name_key = a.team_name_key
      or not a.is_payer_named and t.id = ${payingTeam('c')}
      or a.is_payer_of_session and array[t.id] = s.purses`)} as purse`

type Asked = PayerValues & { conversationId: string | null }
/** Who pays in a conversation, and what the session may spend, as read. */
type Read = {
  purses: readonly string[]
  conversation: { ref: { id: string }; payment: { teamId: string | null } } | undefined
}

export class TeamPayers {
  readonly #paid = new LRUCache<string, true>({ max: MOST_REMEMBERED })

  /** @param proof of the session that asks, where that was not looked up before. */
  mayPay(asked: Asked, proof?: SessionProof): boolean {
    const { conversationId, teamId, teamNameKey, isPayerNamed, isPayerOfSession } = asked
    if (isPayerOfSession) return proof !== undefined && this.#paid.has(sessionKey(proof))
    if (isPayerNamed) return teamId !== null || teamNameKey !== null
    return conversationId !== null && this.#paid.has(conversationKey(conversationId))
  }

  note({ purses, conversation }: Read, proof?: SessionProof): void {
    if (conversation) {
      this.#note(conversationKey(conversation.ref.id), conversation.payment.teamId !== null)
    }
    if (proof) this.#note(sessionKey(proof), purses.length === 1)
  }

  #note(key: string, isPaidFor: boolean): void {
    if (isPaidFor) this.#paid.set(key, true)
    else this.#paid.delete(key)
  }
}

const conversationKey = (id: string) => `conversation ${id.toLowerCase()}`

const sessionKey = (proof: SessionProof) => `session ${sessionKeyOf(proof)}`
