import { AppError } from '../../errors.ts'
import { wrongField } from '../access/field-rules.ts'

/**
 * The same for none, and for one that the caller is not in.
 *
 * @param field the argument that names it.
 */
export const teamNotFound = (field: 'team' | 'payer' | 'pay_with' = 'team') =>
  new AppError('not_found', 'You are in no team with this name or id. get_teams lists yours.', {
    onPages: 'You are in no such team. Yours are at /account/teams.',
    details: { field },
  })

export const noSuchTeam = () => new AppError('not_found', 'There is no such team.')

/** An admin of the installation must not give themselves rights in a team. */
export const notOneself = () =>
  new AppError('forbidden', 'An admin of the installation decides about others only.')

export const memberNotFound = () =>
  new AppError('not_found', 'The team has no member with this username.', {
    details: { field: 'username' },
  })

/** @param needed the smallest role that includes it. */
export const teamRoleTooSmall = (own: string, needed: 'owner' | 'admin') =>
  new AppError(
    'forbidden',
    `You are ${own === 'member' ? 'a member' : `an ${own}`} of this team, and this needs its ${needed}.`,
    { details: { role: own, needed } },
  )

export const teamArchived = () =>
  new AppError('forbidden', 'This team is archived. Nothing of it changes any more.')

export const lastOwner = () =>
  new AppError(
    'forbidden',
    'A team needs an owner who can sign in. Make another member its owner first, or archive the team.',
  )

/** Its figures stay, and with them an owner who can read them. */
export const lastOwnerOfArchived = () =>
  new AppError(
    'forbidden',
    'You are the last owner of this archived team who can sign in. It keeps you, so that its figures and its audit log keep a reader.',
  )

/** The argument that holds a new name: the tool that makes a team has it as `team`. */
export type TeamNameField = 'name' | 'team'

export const teamNameTaken = (field: TeamNameField) =>
  wrongField(field, 'is taken, or too much like the name of another team. Choose another one')
