/** Who pays for a message: whom the call names, else whom its conversation does, else its sender. */

import { AppError } from '../../../errors.ts'
import type { ConversationRole } from '../../../repositories/access/conversation-access.ts'
import type { ConversationPayment } from '../../../repositories/turns/load-turn-context.ts'
import type { NamedPayer } from '../../../repositories/turns/team-payers.ts'
import { teamRef } from '../../teams/team-name.ts'

/** What comes before the team in the name of a payer. */
const OF_TEAM = 'team:'

export type PayerChoice = {
  /** An id or a name; null: the sender pays. */
  team: string | null
  /** Whether the call names it. */
  isNamed: boolean
  /** The team that pays in the conversation, as it was read; null: each sender. */
  conversationPayer: string | null
  /** The one team whose key may be used there; null: any key. */
  onlyTeam: { id: string; name: string } | null
}

type Conversation = { role: ConversationRole; payment: ConversationPayment }

/** The id or name of the team in `pay_with`; undefined when it names none. */
export const teamNamedIn = (payWith: string | undefined): string | undefined =>
  payWith?.startsWith(OF_TEAM) ? payWith.slice(OF_TEAM.length) : undefined

/** Whom `pay_with` names. */
export function payerNamedIn(payWith: string | undefined): NamedPayer | undefined {
  const team = teamNamedIn(payWith)
  if (team !== undefined) return teamRef(team)
  return payWith === undefined ? undefined : 'own'
}

/**
 * A payer that does not work is an error, and never another payer. The team of a conversation pays
 * for its members only.
 *
 * @param conversation undefined for a new one. A viewer is refused later, and told nothing here.
 * @param isInCopy whether it is sent in a copy: one of another user's conversation has no payer.
 * @throws AppError payer_required.
 */
export function choosePayer(
  payWith: string | undefined,
  conversation: Conversation | undefined,
  isInCopy: boolean,
): PayerChoice {
  const isNamed = payWith !== undefined
  const team = teamNamedIn(payWith) ?? null
  const role = conversation?.role ?? 'viewer'
  if (conversation === undefined || role === 'viewer' || (isInCopy && role !== 'owner')) {
    return { team, isNamed, conversationPayer: null, onlyTeam: null }
  }
  const { teamId, teamName, isMember, isTeamOnly } = conversation.payment
  if (teamId === null) return { team, isNamed, conversationPayer: null, onlyTeam: null }
  const paying = { id: teamId, name: teamName ?? teamId }
  const choice = { isNamed, conversationPayer: teamId, onlyTeam: isTeamOnly ? paying : null }
  if (team !== null) return { ...choice, team }
  if (isTeamOnly && (isNamed || !isMember)) {
    throw isMember ? teamOnly(paying.name) : notInOnlyTeam(paying.name, role === 'owner')
  }
  if (isNamed) return { ...choice, team: null }
  if (!isMember && role === 'owner') throw payerLeft(paying.name)
  return { ...choice, team: isMember ? teamId : null }
}

/** @throws AppError payer_required when another team pays than the one whose key may be used. */
export function requireOnlyTeam({ onlyTeam }: PayerChoice, teamId: string | undefined): void {
  if (onlyTeam !== null && onlyTeam.id !== teamId) throw teamOnly(onlyTeam.name)
}

const teamOnly = (name: string) =>
  new AppError(
    'payer_required',
    `Only the key of the team ${name} may be used in this conversation. Leave pay_with out, and the team pays.`,
    {
      onPages: `Only the key of the team ${name} may be used in this conversation. Send it again, and the team pays.`,
      details: { field: 'pay_with', choices: [`${OF_TEAM}${name}`] },
    },
  )

/** @param isOwner of the conversation, who alone may choose another payer for it. */
function notInOnlyTeam(name: string, isOwner: boolean): AppError {
  const why = `Only the key of the team ${name} may be used in this conversation, and you are not in that team, or it is archived.`
  const details = { field: 'pay_with', choices: [] }
  if (!isOwner) {
    const message = `${why} Ask its owners to let you in, or continue in a copy of your own.`
    return new AppError('payer_required', message, { details })
  }
  const message = `${why} The conversation is yours: set its payer to "sender" and payers to "any" with update_conversation.`
  const onPages = `${why} The conversation is yours: choose another payer for it.`
  return new AppError('payer_required', message, { onPages, details })
}

const payerLeft = (name: string) =>
  new AppError(
    'payer_required',
    `The team ${name} was to pay for this conversation, but you are not in it any more, or it is archived. Send with pay_with: "own", or choose another payer with update_conversation.`,
    {
      onPages: `The team ${name} was to pay for this conversation, but you are not in it any more, or it is archived. Choose your own key, or another payer for the conversation.`,
      details: { field: 'pay_with', choices: ['own'] },
    },
  )
