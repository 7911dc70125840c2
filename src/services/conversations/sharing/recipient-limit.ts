import { AppError } from '../../../errors.ts'
import type { Repositories } from '../../../repositories/index.ts'

const RECIPIENTS_AN_HOUR = 30
const HOUR_MS = 3_600_000

/** Conversations that one user may share with everybody: they are in everybody's lists. */
export const MAX_WITH_EVERYBODY = 50

/**
 * Counts attempts to name a recipient, so that names cannot be tried out.
 *
 * @throws AppError rate_limited.
 */
export async function countRecipient(
  { rateLimits }: Pick<Repositories, 'rateLimits'>,
  userId: string,
): Promise<void> {
  const { hits, resetAt } = await rateLimits.take(`share:user:${userId}`, HOUR_MS)
  if (hits <= RECIPIENTS_AN_HOUR) return
  throw new AppError(
    'rate_limited',
    `You may share with ${RECIPIENTS_AN_HOUR} people an hour. Wait, or share with everybody.`,
    { retryAfterSeconds: Math.max(1, Math.ceil((resetAt.getTime() - Date.now()) / 1000)) },
  )
}
