/**
 * Recognises common mistakes with tokens by their shape. Each message names the mistake and repeats
 * nothing of the token.
 */

import type { Request } from 'express'
import { AppError } from '../../errors.ts'
import { PERSONAL_TOKEN_PREFIX } from '../../services/access/sessions.ts'

/** A test, and the end of the message, whose subject is the place that holds the token. */
type Mistake = [isSeen: (text: string) => boolean, words: string]

const matches = (pattern: RegExp) => (text: string) => pattern.test(text)

const SCHEMES = /^(?:basic|digest|negotiate|token|api-?key|key|jwt|oauth|mac|hawk)\b/i

/** Checks of the whole header. */
const IN_HEADER: Mistake[] = [
  [matches(/^$/), 'is empty. Perhaps a variable in the settings of the client is not set.'],
  [matches(/^["'`\u2018-\u201f]/), 'has quotes around it. Write it without.'],
  [
    matches(/^bearer$/i),
    'has no token after the word Bearer. Perhaps a variable in the settings of the client is not set.',
  ],
  [
    matches(/^bearer[^\s]/i),
    'has to have a space, and nothing else, between the word Bearer and the token.',
  ],
  [matches(SCHEMES), 'is of another scheme: it has to be the word Bearer, a space, and the token.'],
  [
    (text) => !/^bearer\s/i.test(text),
    'lacks the word Bearer: it has to be that word, a space, and the token.',
  ],
]

const PLACEHOLDER =
  /^(?:undefined|null|none|nil|nan|true|false|\[object .*|(?:your|my|the|some)[-_ ]?.*|(?:access|api|auth|bearer)?[-_ ]?(?:token|key)(?:[-_ ]here)?|x{3,}|\*{3,}|\.{3,}|…+|changeme|[$%<{].*|process\.env.*)$/i

/** Prefixes of other services' keys. */
const FOREIGN_KEY = /^(?:sk-|gsk_|xai-|AIza|AKIA|gh[opsu]_|github_pat_|glpat-|xox[abprs]-|hf_|pk_)/

/** Gateway tokens have about 500 characters. Longer ones are too costly to check. */
const MAX_LENGTH = 4_096
const TOO_LONG =
  'is longer than any token of this gateway. Perhaps something else was put in its place.'

const PERSONAL_LENGTH = `${PERSONAL_TOKEN_PREFIX}_`.length + 43

/** Checks of the text in the token's place. */
const IN_TOKEN: Mistake[] = [
  [matches(/^$/), 'is empty. Perhaps a variable is not set.'],
  [matches(/^bearer\s/i), 'has the word Bearer once too often before it.'],
  [matches(/^["'`\u2018-\u201f]|["'`\u2018-\u201f]$/), 'has quotes around it. Write it without.'],
  [
    matches(PLACEHOLDER),
    'is a placeholder, or what a variable that is not set turns into, and no token.',
  ],
  [matches(/…|\.\.\.$/), 'is cut off. Copy it as a whole.'],
  [
    matches(/\s/),
    'has a space in it. A token is one word: perhaps something else stands behind it.',
  ],
  [matches(/[,;]$/), 'has a comma or semicolon behind it. Write it without.'],
  [
    matches(/^sk-ant-/i),
    'is an Anthropic API key. The gateway takes tokens of its own here; the key is stored once, on the account page.',
  ],
  [matches(FOREIGN_KEY), 'is a key of another service, and no token of this gateway.'],
  [
    (text) => text.startsWith(`${PERSONAL_TOKEN_PREFIX}_`) && !isWholePersonal(text),
    `is not a whole personal access token, which has ${PERSONAL_LENGTH} characters. Copy it again, or make a new one.`,
  ],
  [
    matches(/^[\w-]{43}$/),
    'looks like a refresh token or an authorization code, which are for the token endpoint.',
  ],
  [
    (text) => text.startsWith('eyJ') && claimsOf(text) === undefined,
    'begins as a signed token does, and is not whole. Copy it again, or sign in again.',
  ],
]

const isWholePersonal = (text: string) => text.length === PERSONAL_LENGTH && /^[\w-]+$/.test(text)

const NO_HEADER =
  'This request has no Authorization header. Send a token of the gateway in it: the word Bearer, a space, and the token.'

/**
 * The refusal, reworded with the mistake recognised in the Authorization header.
 *
 * @param issuers of the gateway's own tokens.
 */
export function mistakeInHeader(refusal: AppError, req: Request, issuers: readonly string[]) {
  const { authorization } = req.headers
  if (authorization === undefined) return told(refusal, `${NO_HEADER}${misplacedToken(req)}`)
  const header = authorization.trim()
  const inHeader = found(IN_HEADER, header)
  if (inHeader !== undefined) return told(refusal, `The Authorization header ${inHeader}`)
  const inToken = mistakeIn(header.replace(/^bearer\s+/i, ''), issuers)
  return told(refusal, inToken && `The token in the Authorization header ${inToken}`)
}

/** The same for a token in the argument access_token. */
export function mistakeInArgument(refusal: AppError, token: string, issuers: readonly string[]) {
  const mistake = mistakeIn(token.trim(), issuers)
  return told(refusal, mistake && `The argument access_token ${mistake}`)
}

/** Names a token in a place that is not read, as a sentence; '' for none. */
export function misplacedToken(req: Request): string {
  if (req.headers['x-api-key'] !== undefined) return ' One in the header X-Api-Key is not read.'
  const inAddress = /[?&](?:access_token|token|api_key|key)=/i.test(req.url)
  return inAddress ? ' One in the address is not read.' : ''
}

function mistakeIn(token: string, issuers: readonly string[]): string | undefined {
  if (token.length > MAX_LENGTH) return TOO_LONG
  const issuer = claimsOf(token)?.iss
  if (typeof issuer === 'string' && !issuers.includes(issuer)) {
    return 'was issued by another server than this gateway.'
  }
  return found(IN_TOKEN, token)
}

const found = (mistakes: Mistake[], text: string) => mistakes.find(([isSeen]) => isSeen(text))?.[1]

const told = (refusal: AppError, words: string | undefined) =>
  words === undefined || refusal.status !== 401
    ? refusal
    : new AppError(refusal.code, words, { cause: refusal.cause })

/** The claims of a signed token, unverified. */
function claimsOf(token: string): Record<string, unknown> | undefined {
  const [, payload, signature, ...more] = token.split('.')
  if (payload === undefined || !signature || more.length > 0) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    return typeof claims === 'object' && claims !== null ? { ...claims } : undefined
  } catch {
    return undefined
  }
}
