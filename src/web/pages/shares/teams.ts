import { AppError } from '../../../errors.ts'
import type { Caller } from '../../../services/access/caller.ts'
import type { Services } from '../../../services/index.ts'
import { type Refusal, refused } from '../../kit/forms.ts'

/** The teams that the visitor may choose: theirs, without the archived ones. */
export async function teamsOf({ teams }: Pick<Services, 'teams'>, caller: Caller) {
  return (await teams.list(caller)).filter(({ archivedAt }) => archivedAt === null)
}

/**
 * A team that the visitor left while its form was open is a mistake in the form, not a missing page.
 *
 * @param field the one that names the team.
 * @throws any other error.
 */
export function ofTeam(error: unknown, field: string): { refusal: Refusal } {
  if (!(error instanceof AppError) || error.details?.field !== 'with') throw error
  return { refusal: refused({ [field]: TEAM_GONE }) }
}

const TEAM_GONE = 'You are not in this team any more, or it is archived. Choose another.'
