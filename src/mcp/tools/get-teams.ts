import { z } from 'zod'
import type { Caller } from '../../services/access/caller.ts'
import type { Services } from '../../services/index.ts'
import { toUsd } from '../../text/usd-amount.ts'
import { defineTool, instant, storableText } from '../definitions/tool.ts'

const teamRole = z.enum(['owner', 'admin', 'member'])

export const getTeams = defineTool({
  name: 'get_teams',
  title: 'List teams',
  description:
    'The teams that you are in, with your role and what is left of their money; of one team also its members, caps and open requests for more, and for its owners and admins the open invitations.',
  access: 'user',
  scope: 'teams:read',
  hints: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  input: z.object({
    team: storableText
      .trim()
      .min(1)
      .max(64)
      .optional()
      .describe('Name or id of one of them. Left out: all.'),
  }),
  output: z.object({
    teams: z.array(
      z.object({
        team_id: z.uuid(),
        name: z.string(),
        role: teamRole.describe('Yours.'),
        member_count: z.number().int(),
        archived: z.boolean(),
        shares_from: z.enum(['members', 'anyone', 'nobody']).describe('Who may share with it.'),
        on_departure: z
          .enum(['keep', 'delete'])
          .describe('What becomes of its conversations when their owner deletes their account.'),
        created_at: instant,
        pool_left: z
          .array(
            z.object({
              period: z.enum(['day', 'month']),
              left_usd: z.number().nullable(),
              left_tokens: z.number().int().nullable(),
              resets_at: instant,
            }),
          )
          .describe('Of what all members share; only where it is limited.'),
      }),
    ),
    members: z
      .array(
        z.object({ username: z.string(), role: teamRole, since: instant, suspended: z.boolean() }),
      )
      .optional()
      .describe('Of one team.'),
    invitations: z
      .array(
        z.object({
          invitation_id: z.uuid(),
          role: teamRole,
          only_for: z.string().nullable().describe('Username or address; null: anybody.'),
          invited_by: z.string().nullable(),
          expires_at: instant,
        }),
      )
      .optional()
      .describe('Of one team: those that nobody has accepted yet.'),
    caps: z
      .array(
        z.object({
          username: z.string().nullable().describe('null: every member without one.'),
          period: z.enum(['day', 'month']),
          limit_usd: z.number().nullable(),
          limit_tokens: z.number().int().nullable(),
        }),
      )
      .optional()
      .describe(
        'Of one team: what members may spend of its money; for a member, what applies to them.',
      ),
    requests: z
      .array(
        z.object({
          request_id: z.uuid(),
          username: z.string(),
          about: z.enum(['member', 'team']).describe('member: their part of the money.'),
          period: z.enum(['day', 'month']),
          limit_usd: z.number().describe('The limit that is asked for.'),
          reason: z.string().describe('In their own words.'),
          created_at: instant,
          until: instant,
        }),
      )
      .optional()
      .describe('Of one team: open ones, for a member their own.'),
  }),
  async run({ team }, { caller, services }) {
    const left = await services.books.poolsLeft(caller)
    if (team === undefined) {
      const teams = await services.teams.list(caller)
      return { teams: teams.map((one) => shownTeam(one, left)) }
    }
    const read = await services.teams.read(caller, team)
    const { caps } = await services.teamBudgets.show(caller, read.team.id)
    const requests = await services.budgetRequests.listOfTeam(caller, read.team.id)
    return {
      teams: [shownTeam(read.team, left)],
      caps: shownCaps(caps, read, caller),
      requests: requests.map(shownRequest),
      members: read.members.map(({ username, role, addedAt, isSuspended }) => ({
        username,
        role,
        since: addedAt.toISOString(),
        suspended: isSuspended,
      })),
      invitations: read.invitations.map((row) => ({
        invitation_id: row.id,
        role: row.teamRole ?? 'member',
        only_for: row.usernameKey ?? row.emailKey,
        invited_by: row.invitedBy,
        expires_at: row.expiresAt.toISOString(),
      })),
    }
  },
})

type Listed = Awaited<ReturnType<Services['teams']['list']>>[number]
type Read = Awaited<ReturnType<Services['teams']['read']>>
type Caps = Awaited<ReturnType<Services['teamBudgets']['show']>>['caps']
type Request = Awaited<ReturnType<Services['budgetRequests']['listOfTeam']>>[number]
type PoolsLeft = Awaited<ReturnType<Services['books']['poolsLeft']>>

const shownTeam = (listed: Listed, left: PoolsLeft) => ({
  team_id: listed.id,
  name: listed.name,
  role: listed.role,
  member_count: listed.members,
  archived: listed.archivedAt !== null,
  shares_from: listed.sharesFrom,
  on_departure: listed.onDeparture,
  created_at: listed.createdAt.toISOString(),
  pool_left: (left.get(listed.id) ?? []).map(({ period, nanoUsd, tokens, resetsAt }) => ({
    period,
    left_usd: toUsd(nanoUsd),
    left_tokens: tokens,
    resets_at: resetsAt.toISOString(),
  })),
})

/** All of them for those who manage the team; else those that apply to the caller. */
function shownCaps(caps: Caps, { team, members }: Read, { userId }: Caller) {
  const names = new Map(members.map((member) => [member.userId, member.username]))
  return caps
    .filter((cap) => cap.userId === null || names.has(cap.userId))
    .filter((cap) => team.role !== 'member' || cap.userId === null || cap.userId === userId)
    .map(({ userId: of, period, nanoUsd, tokens }) => ({
      username: of === null ? null : (names.get(of) ?? null),
      period,
      limit_usd: toUsd(nanoUsd),
      limit_tokens: tokens,
    }))
}

const shownRequest = (request: Request) => ({
  request_id: request.id,
  username: request.username,
  about: request.book === 'team' ? ('team' as const) : ('member' as const),
  period: request.period,
  limit_usd: toUsd(request.wantedNanoUsd),
  reason: request.reason,
  created_at: request.createdAt.toISOString(),
  until: request.until.toISOString(),
})
