import type { Services } from '../../services/index.ts'

type Print = (line: string) => void
type TeamRole = 'owner' | 'admin' | 'member'

export async function addTeam(
  { teams, userAdministration }: Services,
  { name, owner }: { name: string; owner: string },
  print: Print,
): Promise<void> {
  const { id: ownerId, username } = await userAdministration.get(owner)
  const { id, name: made } = await teams.add(ownerId, name)
  print(`made the team ${made} (${id}) of ${username}`)
}

/** One page, by name, and how to get the next one. */
export async function listTeams(
  { teams }: Services,
  page: { after: string; limit: number },
  print: Print,
): Promise<void> {
  const { teams: rows, next } = await teams.listAll(page)
  if (rows.length === 0) print(page.after === '' ? 'no teams' : `no teams after ${page.after}`)
  for (const { id, name, members, owners, archivedAt } of rows) {
    const state = archivedAt === null ? '' : '  archived'
    print(`${id}  ${name}  members: ${members}  owners: ${owners.join(', ') || 'none'}${state}`)
  }
  if (next !== undefined) print(`There are more: team list --limit ${page.limit} --after ${next}`)
}

export async function archiveTeam({ teams }: Services, name: string, print: Print): Promise<void> {
  await teams.archive('operator', name)
  print(`archived ${name}`)
}

type Settings = Parameters<Services['teams']['change']>[2]

/** What is left out stays. */
export async function setTeam(
  { teams }: Services,
  { team, settings }: { team: string; settings: Settings },
  print: Print,
): Promise<void> {
  await teams.change('operator', team, settings)
  print(`changed ${team}`)
}

/** Adds a user, or gives a member another role. */
export async function setTeamMember(
  { teamMembers, userAdministration }: Services,
  { team, user, role }: { team: string; user: string; role: TeamRole },
  print: Print,
): Promise<void> {
  const { id, username } = await userAdministration.get(user)
  const isAdded = await teamMembers.add(id, team, role)
  if (!isAdded) await teamMembers.setRole('operator', team, username, role)
  print(`${username} is ${role} of ${team} now`)
}

export async function removeTeamMember(
  { teamMembers }: Services,
  { team, user }: { team: string; user: string },
  print: Print,
): Promise<void> {
  await teamMembers.remove('operator', team, user)
  print(`${user} is not in ${team} any more`)
}
