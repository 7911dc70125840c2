import type { Services } from '../services/index.ts'

type Print = (line: string) => void
type Listed = Awaited<ReturnType<Services['userAdministration']['list']>>['users'][number]

const HEADINGS = ['USERNAME', 'EMAIL', 'CREATED', 'KEY', 'LAST USE']

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
  const { username, ended } = await userAdministration.signOut(name)
  print(`${username}: ${ended} sessions, connections and tokens ended`)
}

export async function deleteUser(
  { userAdministration }: Services,
  name: string,
  print: Print,
): Promise<void> {
  const { username } = await userAdministration.delete(name)
  print(`deleted ${username}`)
}

function printPassword(username: string, password: string, print: Print): void {
  print(`password: ${password}`)
  print(`It is not shown again. ${username} can choose another one on the account page.`)
}

const toCells = ({ username, email, createdAt, hasKey, lastUsedAt }: Listed) => [
  username,
  email,
  toMinute(createdAt),
  hasKey ? 'yes' : 'no',
  lastUsedAt ? toMinute(lastUsedAt) : 'never',
]

/** UTC, as `2026-11-01T09:30Z`. */
const toMinute = (instant: Date) => `${instant.toISOString().slice(0, 16)}Z`
