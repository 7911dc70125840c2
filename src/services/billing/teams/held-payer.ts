/** The team that is to pay from now on, checked in the transaction that stores it. */

import { AppError } from '../../../errors.ts'
import type { InTransaction } from '../../../repositories/index.ts'
import type { HeldPurse } from '../../../repositories/teams/team-purses.ts'
import type { Caller } from '../../access/caller.ts'
import { teamArchived, teamNotFound } from '../../teams/team-errors.ts'
import { teamRef } from '../../teams/team-name.ts'

type Purses = Pick<InTransaction, 'teamPurses'>

/**
 * A team of the caller's. They stay in it, and it stays in use, until the transaction ends.
 *
 * @param team an id or a name.
 * @param field the argument that names it.
 * @throws AppError not_found, also for a team that the caller is not in; forbidden when it is
 *   archived.
 */
export async function holdTeamOf(
  { teamPurses }: Purses,
  caller: Pick<Caller, 'userId' | 'sessionId'>,
  team: string,
  field: 'team' | 'payer',
): Promise<HeldPurse> {
  const held = await teamPurses.hold(caller, teamRef(team))
  if (held === undefined) throw teamNotFound(field)
  if (held.isArchived) throw teamArchived()
  return held
}

/** @throws AppError payer_required when the caller's session may not spend the team's money. */
export function requirePurse({ name, maySpend }: HeldPurse): void {
  if (maySpend) return
  throw new AppError(
    'payer_required',
    `This connection or token was not given leave to spend the money of the team ${name}, and so cannot have it pay. Do it on the page of the conversation, or connect again and allow it.`,
    { details: { field: 'payer', choices: ['sender'] } },
  )
}
