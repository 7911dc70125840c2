import type { Caller } from '../../../services/access/caller.ts'
import type { Services } from '../../../services/index.ts'

/** The teams that the visitor may choose: theirs, without the archived ones. */
export async function teamsOf({ teams }: Pick<Services, 'teams'>, caller: Caller) {
  return (await teams.list(caller)).filter(({ archivedAt }) => archivedAt === null)
}
