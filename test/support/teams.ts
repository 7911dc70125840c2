/** Teams with a key, made by the services as their owner would by page and tool. */

import { randomBytes } from 'node:crypto'
import type { TestApp, TestUser } from './start-app.ts'

export type TestTeam = { id: string; name: string; apiKey: string }

const newApiKey = () => `sk-ant-api03-${randomBytes(24).toString('base64url')}`

export const callerOf = (app: TestApp, { accessToken }: TestUser) =>
  app.app.services.sessions.resolve(accessToken)

/** Owned by the first, with all others as members. */
export async function newTeam(app: TestApp, [owner, ...members]: TestUser[]): Promise<TestTeam> {
  if (owner === undefined) throw new Error('a team has an owner')
  const { teams, teamKeys, teamMembers } = app.app.services
  const caller = await callerOf(app, owner)
  const { id, name } = await teams.create(caller, `Team ${randomBytes(6).toString('hex')}`)
  for (const { userId } of members) await teamMembers.add(userId, id, 'member')
  const apiKey = newApiKey()
  await teamKeys.replace(caller, id, apiKey)
  return { id, name, apiKey }
}

/** In tokens; what is left out stays without a limit. */
export async function limitTeam(
  app: TestApp,
  { id: teamId }: TestTeam,
  limits: { pool?: number; member?: number; memberId?: string; period?: 'day' | 'month' },
): Promise<void> {
  const { pool, member, memberId: userId = null, period = 'day' } = limits
  const { db } = app.app
  const limitNanoUsd = null
  if (pool !== undefined) {
    const budget = { teamId, period, setBy: 'team' as const, limitNanoUsd, limitTokens: `${pool}` }
    await db.insertInto('teamBudgets').values(budget).execute()
  }
  if (member !== undefined) {
    const cap = { teamId, userId, period, limitNanoUsd, limitTokens: `${member}` }
    await db.insertInto('memberCaps').values(cap).execute()
  }
}
