import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../../errors.ts'
import { PERSONAL_TOKEN_PREFIX } from '../../services/access/sessions.ts'

/**
 * The personal token, which clients send as `Authorization: Bearer`, as `x-api-key` or as both.
 *
 * @param origin of the gateway, for the way to a token.
 * @throws AppError unauthenticated that says what to put in its place, and repeats nothing of it.
 */
export function apiTokenOf(headers: IncomingHttpHeaders, origin: string): string {
  const given = [bearerOf(headers.authorization), keyOf(headers['x-api-key'])]
  const [token, other] = given.filter((one) => one !== undefined)
  if (token === undefined) throw refused('This address needs a token of this gateway', origin)
  if (other !== undefined && other !== token) {
    throw refused('The headers Authorization and x-api-key hold two different tokens', origin)
  }
  if (/^sk-ant-/i.test(token)) {
    throw refused('This is an Anthropic API key, and here a token of the gateway belongs', origin)
  }
  if (!token.startsWith(`${PERSONAL_TOKEN_PREFIX}_`)) {
    throw refused('This is no personal access token of this gateway', origin)
  }
  return token
}

/** @param why the beginning of a sentence. */
export function refused(why: string, origin: string): AppError {
  return new AppError(
    'unauthenticated',
    `${why}: make one with the permission messages:api at ${origin}/account/tokens, and give it to your client as ANTHROPIC_AUTH_TOKEN or as its API key.`,
  )
}

/** A header of another scheme counts as a wrong token, not as none; an empty one counts as none. */
function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined || /^\s*(Bearer\s*)?$/i.test(header)) return undefined
  return /^Bearer\s+(\S+)$/i.exec(header.trim())?.[1] ?? 'malformed'
}

function keyOf(header: string | string[] | undefined): string | undefined {
  const key = [header ?? []].flat().join().trim()
  return key === '' ? undefined : key
}
