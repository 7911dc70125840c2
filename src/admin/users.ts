import type { Services } from '../services/index.ts'

type Print = (line: string) => void
type Listed = Awaited<ReturnType<Services['userAdministration']['list']>>['users'][number]

const HEADINGS = ['USERNAME', 'EMAIL', 'ROLE', 'CREATED', 'KEY', 'LAST USE']

export async function addUser(
  { userAdministration }: Services,
  wanted: { username: string; email: string },
  print: Print,
): Promise<void> {
  const { username, password } = await userAdministration.add(wanted)
  print(`added ${username}`)
  printPassword(username, password, print)
}

/** One page, as a table, and how to get the next one. No secrets. */
export async function listUsers(
  { userAdministration }: Services,
  page: { after: string; limit: number },
  print: Print,
): Promise<void> {
  const { users, next } = await userAdministration.list(page)
  const rows = [HEADINGS, ...users.map(toCells)]
  const widths = HEADINGS.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]?.length ?? 0)),
  )
  for (const cells of rows) {
    print(
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  }
  if (next !== undefined) print(`There are more: user list --limit ${page.limit} --after ${next}`)
}

export async function resetPassword(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username, password, ended } = await userAdministration.resetPassword(name)
  print(`${username} has a new password; ${ended} sessions, connections and tokens ended`)
  printPassword(username, password, print)
}

export async function signUserOut(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username, ended } = await userAdministration.signOut('operator', name)
  print(`${username}: ${ended} sessions, connections and tokens ended`)
}

export async function setUserRole(
  { userAdministration }: Services,
  name: string,
  role: 'member' | 'auditor' | 'admin',
  print: Print,
): Promise<void> {
  const { username } = await userAdministration.setRole('operator', name, role)
  print(`${username} is ${role} now`)
}

export async function suspendUser(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username, ended } = await userAdministration.suspend('operator', name)
  print(`${username} is suspended; ${ended} sessions, connections and tokens ended`)
}

export async function restoreUser(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username } = await userAdministration.restore('operator', name)
  print(`${username} may sign in again`)
}

export async function deleteUser(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username } = await userAdministration.delete('operator', name)
  print(`deleted ${username}`)
}

function printPassword(username: string, password: string, print: Print): void {
  print(`password: ${password}`)
  print(`It is not shown again. ${username} can choose another one on the account page.`)
}

const toCells = ({ username, email, role, suspendedAt, ...user }: Listed) => [
  username,
  email,
  suspendedAt === null ? role : `${role}, suspended`,
  toMinute(user.createdAt),
  user.hasKey ? 'yes' : 'no',
  user.lastUsedAt ? toMinute(user.lastUsedAt) : 'never',
]

/** UTC, as `2026-11-01T09:30Z`. */
const toMinute = (instant: Date) => `${instant.toISOString().slice(0, 16)}Z`
