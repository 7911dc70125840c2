/** The commands about teams. */

import { limitOf, nanoUsdOf, oneOf, UsageError } from '../arguments.ts'
import type { Command } from '../command.ts'
import { setTeamBudget, showTeamBudget } from './budget.ts'
import {
  addTeam,
  archiveTeam,
  listTeams,
  removeTeamMember,
  setTeam,
  setTeamMember,
} from './teams.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)
const ROLES = ['owner', 'admin', 'member'] as const
const SHARES_FROM = ['members', 'anyone', 'nobody'] as const
const ON_DEPARTURE = ['keep', 'delete'] as const
const TEAMS_PER_PAGE = 100
const MAX_TEAMS_PER_PAGE = 10_000

export const TEAM_COMMANDS: Record<string, Command> = {
  'team add': {
    usage: 'team add TEAM --owner USERNAME',
    note: 'makes a team with its first owner',
    options: ['owner'],
    prepare({ owner }, name) {
      if (owner === undefined) throw new UsageError('--owner is missing.')
      return ({ services }) => done(addTeam(services, { name, owner }, print))
    },
  },
  'team list': {
    usage: 'team list [--limit N] [--after TEAM]',
    note: 'all teams by name, with how many members and with their owners',
    options: ['limit', 'after'],
    prepare({ limit, after = '' }) {
      const page = { after, limit: limitOf(limit, TEAMS_PER_PAGE, MAX_TEAMS_PER_PAGE) }
      return ({ services }) => done(listTeams(services, page, print))
    },
  },
  'team budget': {
    usage: 'team budget TEAM [--daily N|none] [--monthly N|none]',
    note: "the installation's limits in USD of what the team spends; the team's own apply as well",
    options: ['daily', 'monthly'],
    prepare({ daily, monthly }, team) {
      const limits = { day: poolLimitOf('daily', daily), month: poolLimitOf('monthly', monthly) }
      return async ({ services }) => {
        await setTeamBudget(services, team, limits)
        return done(showTeamBudget(services, team, print))
      }
    },
  },
  'team archive': {
    usage: 'team archive TEAM --yes',
    note: 'for good; its figures and its name stay',
    options: ['yes'],
    prepare({ yes }, team) {
      if (!yes) throw new UsageError('This cannot be undone. To do it, add --yes.')
      return ({ services }) => done(archiveTeam(services, team, print))
    },
  },
  'team set': {
    usage: 'team set TEAM [--shared-by members|anyone|nobody] [--on-departure keep|delete]',
    note: 'who may share with it; what becomes of its conversations when their owner is deleted',
    options: ['shared-by', 'on-departure'],
    prepare(values, team) {
      const { 'shared-by': from, 'on-departure': departure } = values
      if (from === undefined && departure === undefined) {
        throw new UsageError('Give --shared-by, --on-departure or both.')
      }
      const settings = {
        ...(from === undefined ? {} : { sharesFrom: oneOf('shared-by', from, SHARES_FROM) }),
        ...(departure === undefined
          ? {}
          : { onDeparture: oneOf('on-departure', departure, ON_DEPARTURE) }),
      }
      return ({ services }) => done(setTeam(services, { team, settings }, print))
    },
  },
  'team member': {
    usage: 'team member TEAM --user USERNAME [--role owner|admin|member] [--remove]',
    note: 'adds a user, gives a member another role, or takes one out',
    options: ['user', 'role', 'remove'],
    prepare({ user, role: wanted, remove }, team) {
      if (user === undefined) throw new UsageError('--user is missing.')
      if (remove) return ({ services }) => done(removeTeamMember(services, { team, user }, print))
      const role = oneOf('role', wanted, ROLES)
      return ({ services }) => done(setTeamMember(services, { team, user, role }, print))
    },
  },
}

/** Undefined: it stays; null: none. */
function poolLimitOf(option: 'daily' | 'monthly', value: string | undefined) {
  if (value === undefined) return undefined
  return value === 'none' ? null : nanoUsdOf(value, option)
}

async function done(work: Promise<void>): Promise<undefined> {
  await work
}
