/** The choice of who pays for one message, with what send_message takes as pay_with. */

import { z } from 'zod'
import type { ConversationHead } from '../../../../services/conversations/conversation-heads.ts'
import { type FormState, select } from '../../../kit/form.ts'
import type { Html } from '../../../kit/html.ts'
import type { Purses } from '../../teams/purses.ts'

export const PAYER_FIELD = 'pay_with'

/** '': as the conversation says. */
export const PAYER_RULE = z
  .string()
  .regex(/^(?:own|team:[0-9a-f-]{36})?$/, 'Choose one of what the form offers.')

type Payers = {
  /** Teams of the visitor. */
  teams: Purses
  /** The conversation that it is sent in, or in a copy of which; undefined: a new one. */
  head?: Pick<ConversationHead, 'role' | 'payment'> | undefined
  isInCopy?: boolean
}

/** Nothing for a visitor who has one purse, and where one key may be used only. */
export function payerSelect(
  { teams, head, isInCopy = false }: Payers,
  form: FormState,
): Html | false {
  // A copy of another user's conversation has no payer.
  const payment = isInCopy && head?.role !== 'owner' ? null : head?.payment
  const { team = null, isTeamOnly = false } = payment ?? {}
  const isTeams = team !== null && (head?.role === 'owner' || teams.some(isNamed(team)))
  if (isTeamOnly || (teams.length === 0 && !isTeams)) return false
  const others = teams.filter((each) => !isTeams || !isNamed(team)(each))
  const options = {
    ...(isTeams && { '': `${team}, as this conversation says` }),
    own: 'Your own key',
    ...Object.fromEntries(others.map(({ id, name }) => [`team:${id}`, name])),
  }
  const chosen = form.values[PAYER_FIELD] ?? (isTeams ? '' : 'own')
  return select({ name: PAYER_FIELD, label: 'Who pays', options }, chosen)
}

const isNamed =
  (team: string | null) =>
  ({ name }: Purses[number]) =>
    name === team
