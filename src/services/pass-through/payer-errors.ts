/** Why the payer of a token does not pay, in words for those who see them in their clients. */

import { AppError } from '../../errors.ts'

/** Whether the team is archived, or its user is not in it any more. */
export const isPayerLost = (error: unknown): boolean =>
  error instanceof AppError && (error.code === 'not_found' || error.code === 'forbidden')

export const payerLost = (publicUrl: string) =>
  payerRequired(
    `The team that pays for this token is archived, or you are not in it any more, and nobody else pays instead. Make another token at ${publicUrl}/account/tokens.`,
  )

export const severalPayers = (publicUrl: string) =>
  payerRequired(
    `This token may spend the money of several teams, and a call here names none of them. Make a token for one team, or for none, at ${publicUrl}/account/tokens.`,
  )

export const payerChanging = () =>
  payerRequired(
    'The team that pays for this token is being changed: its members or its key. Try again.',
  )

const payerRequired = (message: string) => new AppError('payer_required', message)
