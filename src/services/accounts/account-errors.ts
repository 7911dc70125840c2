/** Why an account is not stored, or not deleted. */

import { AppError } from '../../errors.ts'

export const usernameTaken = () =>
  new AppError('username_taken', 'This username is in use. Choose another one.', {
    details: { field: 'username' },
  })

export const emailTaken = () =>
  new AppError('email_taken', 'This email address is in use. Sign in, or use another one.', {
    details: { field: 'email' },
  })

const TAKE_OUT = {
  owner:
    'Your name is in ADMIN_USERNAMES: the next user who registers it would be an admin. Have the operator take it out first.',
  operator:
    'This name is in ADMIN_USERNAMES: the next user who registers it would be an admin. Take it out there first.',
}

/** The next user of the freed name would be an admin, since ADMIN_USERNAMES still lists it. */
export const adminStays = (reader: keyof typeof TAKE_OUT) =>
  new AppError('forbidden', TAKE_OUT[reader])
