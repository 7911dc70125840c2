/**
 * What a role in a team includes. No user gives a role above their own, and only owners decide
 * about roles. `installation`: the operator, or an admin of the installation.
 */

import type { TeamRole } from '../../repositories/teams/teams.ts'

export type TeamAuthority = TeamRole | 'installation'

const DECIDES: readonly TeamAuthority[] = ['owner', 'installation']

/** Rename it, archive it, change roles. */
export const mayDecide = (authority: TeamAuthority): boolean => DECIDES.includes(authority)

/** Let a member with this role in, or remove one who has it. */
export const mayAdmit = (authority: TeamAuthority, role: TeamRole): boolean =>
  mayDecide(authority) || (authority === 'admin' && role === 'member')
