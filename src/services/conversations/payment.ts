/** Who is to pay for messages in a conversation, as its owner decides. */

import type {
  ConversationChange,
  LockedConversation,
} from '../../repositories/conversations/conversation-changes.ts'
import type { InTransaction } from '../../repositories/index.ts'
import type { HeldPurse } from '../../repositories/teams/team-purses.ts'
import type { Caller } from '../access/caller.ts'
import { wrongField } from '../access/field-rules.ts'
import { holdTeamOf, requirePurse } from '../billing/teams/held-payer.ts'
import { teamNamedIn } from '../billing/teams/payer-choice.ts'

/** What is left out stays as it is. */
export type WantedPayment = {
  /** `sender`, or `team:` and the id or name of a team. */
  payer?: string | undefined
  /** Whether only that team's key may be used. */
  isTeamOnly?: boolean | undefined
  /** Id or name of the team that it belongs to, whose settings it begins with; null: none. */
  team?: string | null | undefined
}

type Change = Pick<ConversationChange, 'isTeamOnly' | 'payingTeamId' | 'teamId'>

/**
 * @throws AppError not_found for a team that the caller is not in; forbidden when it is archived;
 *   payer_required when the caller's session may not spend its money; invalid_input.
 */
export async function paymentOf(
  repositories: Pick<InTransaction, 'teamPurses'>,
  caller: Caller,
  found: LockedConversation,
  { payer, isTeamOnly, team }: WantedPayment = {},
): Promise<Change> {
  const owning = team == null ? undefined : await holdTeamOf(repositories, caller, team, 'team')
  const paying = await payingTeam(repositories, caller, payer)
  const change = { ...beginningWith(owning), ...paying }
  if (isTeamOnly !== undefined) change.isTeamOnly = isTeamOnly
  if (team !== undefined) change.teamId = owning?.id ?? null
  if (owning !== undefined && change.payingTeamId === owning.id) requirePurse(owning)
  refuseOnlyNobody({ ...asItIs(found), ...change })
  return change
}

async function payingTeam(
  repositories: Pick<InTransaction, 'teamPurses'>,
  caller: Caller,
  payer: string | undefined,
): Promise<Change> {
  if (payer === undefined) return {}
  const team = teamNamedIn(payer)
  if (team === undefined) return { payingTeamId: null }
  const held = await holdTeamOf(repositories, caller, team, 'payer')
  requirePurse(held)
  return { payingTeamId: held.id }
}

/** What a team has set for the conversations that belong to it. */
function beginningWith(owning: HeldPurse | undefined): Change {
  if (owning?.defaultPayer !== 'team') return {}
  return {
    payingTeamId: owning.id,
    ...(owning.payers === 'team_only' && { isTeamOnly: true }),
  }
}

const asItIs = ({ payingTeamId, isTeamOnly }: LockedConversation): Change => ({
  payingTeamId,
  isTeamOnly,
})

function refuseOnlyNobody({ payingTeamId, isTeamOnly }: Change): void {
  if (!isTeamOnly || payingTeamId !== null) return
  throw wrongField(
    'payers',
    'is team_only, which needs a team as payer. Give payer: "team:…", or payers: "any" too',
    {
      onPages:
        'Where the key of a team alone may be used, it needs a team as payer. Choose one, or let other keys be used.',
    },
  )
}
