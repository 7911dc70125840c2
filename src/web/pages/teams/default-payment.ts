/** Who pays in conversations that belong to a team, as one choice of three. */

import type { Services } from '../../../services/index.ts'
import { select } from '../../kit/form.ts'

type Payment = Parameters<Services['teams']['setPayment']>[2]

/** By the value of the form's field. */
export const DEFAULT_PAYMENTS: ReadonlyMap<string, Payment> = new Map([
  ['sender', { defaultPayer: 'sender', payers: 'any' }],
  ['team', { defaultPayer: 'team', payers: 'any' }],
  ['team_only', { defaultPayer: 'team', payers: 'team_only' }],
])

const OPTIONS = {
  sender: 'each sender, with their own key',
  team: 'the team, unless a message names another payer',
  team_only: 'the team, and no other key may be used',
}

export const defaultPaymentField = ({ defaultPayer, payers }: Payment) =>
  select(
    {
      name: 'payment',
      label: 'Conversations that belong to the team are paid by',
      options: OPTIONS,
    },
    defaultPayer === 'team' && payers === 'team_only' ? 'team_only' : defaultPayer,
  )
