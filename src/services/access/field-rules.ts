/** Rules for what users enter about themselves, shared by all forms and tools. */

import { z } from 'zod'
import { USERNAME_PATTERN, USERNAME_RULE } from '../../config/username.ts'
import { type Guessable, guessable } from '../../crypto/common-passwords.ts'
import { MAX_PASSWORD_LENGTH } from '../../crypto/passwords.ts'
import { AppError } from '../../errors.ts'
import { check } from '../../text/problems.ts'

const MIN_PASSWORD_LENGTH = 12

export const Username = z.string().regex(USERNAME_PATTERN, USERNAME_RULE)

export const Email = z
  .string()
  .trim()
  .max(254, 'must have at most 254 characters')
  .pipe(z.email('must be an email address, for example ada@example.com'))

/** Trimmed. Only refuses what no header can carry; Anthropic checks the format. */
export const AnthropicApiKey = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(512, 'is too long to be an Anthropic key')
  .regex(/^[\x21-\x7e]*$/, 'must not hold spaces, line breaks or non-ASCII characters')

/** A password that the user chose. Length is what counts (NIST SP 800-63B-4, 3.1.1.2). */
export const ChosenPassword = z
  .string()
  .min(MIN_PASSWORD_LENGTH, `must have at least ${MIN_PASSWORD_LENGTH} characters`)
  .max(MAX_PASSWORD_LENGTH, `must have at most ${MAX_PASSWORD_LENGTH} characters`)

/** The name that its owner gives a personal access token. */
export const TokenName = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(64, 'must have at most 64 characters')
  .regex(/^\P{Cc}*$/u, 'must not hold control characters')

const MOST_MODELS = 20

/** Names of models, or nothing for every model. */
export const AllowedModels = z
  .array(
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{0,99}$/, 'must be names of models, such as claude-sonnet-5-5'),
  )
  .max(MOST_MODELS, `must be at most ${MOST_MODELS} names`)

/** @throws AppError invalid_input that names the field and says what is wrong, not the value. */
export function checked<T>(rule: z.ZodType<T>, value: unknown, field: string): T {
  const { data, problems } = check(rule, value)
  if (problems) throw wrongField(field, problems[0]?.words ?? 'is wrong')
  return data
}

type Owner = { username: string; email: string }

/**
 * NIST SP 800-63B-4, 3.1.1.2: long enough, and not one of the commonly guessed ones.
 *
 * @throws AppError invalid_input unless the user may have this password.
 */
export async function checkChosenPassword(
  password: string,
  { username, email }: Owner,
  field: string,
): Promise<string> {
  if (password.toLowerCase() === username.toLowerCase()) {
    throw wrongField(field, 'must not be the username')
  }
  checked(ChosenPassword, password, field)
  const why = await guessable(password, [username, email])
  if (why !== undefined) throw wrongField(field, `${WHY[why]}. ${BETTER}`)
  return password
}

const WHY: Record<Guessable, string> = {
  common: 'is among the first that are guessed: many people use it, or one much like it',
  'own-name': 'is among the first that are guessed: it is made of your own name or address',
}
const BETTER =
  'Take four or more words that have nothing to do with each other, or one that a password manager makes'

/** @param words what a page says instead, where the problem is told in words of the tools. */
export const wrongField = (field: string, problem: string, words: { onPages?: string } = {}) =>
  new AppError('invalid_input', `${field} ${problem}.`, { ...words, details: { field } })

export const noSuchUser = () =>
  new AppError('not_found', 'There is no user with this name.', { details: { field: 'username' } })
