import type { AuditReading } from '../audit/audit-reading.ts'
import { Invitations } from '../teams/invitations.ts'
import { TeamMembers } from '../teams/team-members.ts'
import { Teams } from '../teams/teams.ts'
import { Webhooks } from '../webhooks/webhooks.ts'
import type { Answers } from './answers.ts'
import type { Foundation } from './foundation.ts'
import type { PassingThrough } from './pass-through.ts'

/** Teams and their members; and webhooks, which teams have too. */
export function createTeams(
  foundation: Foundation,
  { answers }: Answers,
  { runningCalls: calls }: PassingThrough,
  auditReading: AuditReading,
) {
  const { config, repositories, transact, audit, roles, vault, publicUrl } = foundation
  const { isForTeams } = config.webhooks
  return {
    teams: new Teams({
      ...{ repositories, transact, audit, auditReading, vault, roles, answers, calls },
    }),
    teamMembers: new TeamMembers({ transact, audit, answers, calls }),
    invitations: new Invitations({ repositories, transact, audit, publicUrl }),
    webhooks: new Webhooks({ repositories, transact, audit, roles, vault, isForTeams }),
  }
}
