/** Explains to the operator why DATABASE_URL gives no connection to PostgreSQL. */

import { toReadableUrl } from '../../config/database-url.ts'
import { AppError } from '../../errors.ts'
import { unavailable } from '../errors.ts'

type Failure = {
  code: string
  message: string
  /** The address for a message to a person. Never the password. */
  server: string
  host: string
  user: string
  database: string
}
type Explanation = {
  matches: (failure: Failure) => boolean
  /** What is wrong, and what to do. */
  say: (failure: Failure) => string
  /** May pass by itself: retryable. */
  passes?: true
}

const CERTIFICATE =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_\w+|ERR_TLS_CERT_ALTNAME_INVALID)$/
/** The message of the pg driver. */
export const NO_TLS = 'The server does not support SSL connections'

const code = (pattern: RegExp) => (failure: Failure) => pattern.test(failure.code)
const words = (pattern: RegExp) => (failure: Failure) => pattern.test(failure.message)

/** The first match counts. Codes are SQLSTATEs (PostgreSQL documentation, Appendix A) or Node's. */
const EXPLANATIONS: readonly Explanation[] = [
  {
    matches: code(CERTIFICATE),
    say: ({ server, code }) =>
      `The certificate of ${server} cannot be verified (${code}). Write sslmode=verify-full&sslrootcert=/path/to/ca.pem with the authority that signed it, under the name in the certificate; or sslmode=require, to encrypt without verifying.`,
  },
  {
    matches: ({ message, code }) => message === NO_TLS || code === 'EPROTO',
    say: ({ server }) => `${server} has no TLS. Write sslmode=disable, or enable it there.`,
  },
  {
    matches: words(/no encryption|SSL (connection is )?required/i),
    say: ({ server, user, database }) =>
      `${server} refuses connections from this machine as ${user} to the database ${database} without TLS. Where it demands TLS write ?sslmode=verify-full (or require) at the end; otherwise its pg_hba.conf has no line for that user, database and machine.`,
  },
  {
    matches: words(/client password must be a (non-empty )?string/),
    say: ({ server, user }) =>
      `${server} asks for the password of ${user}, and there is none. Write postgres://user:password@host:5432/database, or set DATABASE_PASSWORD.`,
  },
  {
    matches: code(/^28P01$/),
    say: ({ server, user }) =>
      `${server} refuses the password of ${user}. Correct it in DATABASE_URL or DATABASE_PASSWORD; in a URL everything but letters and digits is written with %, a / as %2F; in .env a value with a # stands in quotes.`,
  },
  {
    matches: words(/role ".*" does not exist|no such user/),
    say: ({ server, user }) =>
      `${server} has no user ${user}. Create it there (create role ... login password '...'), or correct the name in front of the @.`,
  },
  {
    matches: words(/pg_hba\.conf/),
    say: ({ server, user, database }) =>
      `${server} refuses connections from this machine as ${user} to the database ${database}: its pg_hba.conf has no line for that. Add one there, or correct user and database.`,
  },
  {
    matches: ({ code, message }) => code === '3D000' || /no such database/.test(message),
    say: ({ server, database }) =>
      `${server} has no database ${database}. Create it there (createdb ${database}), or correct the name at the end of DATABASE_URL.`,
  },
  {
    matches: ({ code, message }) => code === '42501' && /database/.test(message),
    say: ({ server, user, database }) =>
      `${user} may not connect to the database ${database} of ${server}: grant connect on database ${database} to ${user}.`,
  },
  {
    matches: words(/transaction blocks not allowed/i),
    say: ({ server }) =>
      `The pooler at ${server} is in statement mode, which has no transactions. Give the gateway a pool in transaction or session mode (PgBouncer: pool_mode=transaction).`,
  },
  {
    matches: words(/unsupported startup parameter/),
    say: ({ message }) =>
      `The pooler takes no options in DATABASE_URL (${message}). Leave out schema= and options=, and have it set for the role instead: alter role ... set search_path = ...`,
  },
  {
    matches: code(/^ENOTFOUND$/),
    say: ({ host }) =>
      `No machine is known by the name ${host} (ENOTFOUND). Correct the host; in a container it is the name of the service.`,
  },
  {
    matches: code(/^EACCES|EPERM$/),
    say: ({ server, code }) =>
      `This user may not open ${server} (${code}). Change the rights of its folder, or correct the host.`,
  },
  {
    matches: code(/^EAI_AGAIN$/),
    say: ({ host }) =>
      `The name ${host} cannot be looked up now (EAI_AGAIN). Look to this machine's name server.`,
    passes: true,
  },
  {
    matches: code(/^(ECONNREFUSED|ENOENT)$/),
    say: ({ server, code }) =>
      `Nothing listens at ${server} (${code}). Start PostgreSQL there, or correct host and port.`,
    passes: true,
  },
  {
    matches: ({ code, message }) =>
      /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN)$/.test(code) ||
      (code === '' && /time-?out/i.test(message)),
    say: ({ server, code }) =>
      `${server} does not answer${code && ` (${code})`}. Look whether it runs, whether a firewall is between, and whether host and port are right.`,
    passes: true,
  },
  {
    matches: ({ code, message }) =>
      /^(ECONNRESET|EPIPE)$/.test(code) || (code === '' && /terminated|ended/i.test(message)),
    say: ({ server }) =>
      `${server} ended the connection. Look whether it is a PostgreSQL, and at its log.`,
    passes: true,
  },
  {
    matches: code(/^53300$/),
    say: ({ server, message }) =>
      `${server} has no connection left (${message}). Raise its max_connections, or lower DATABASE_POOL_SIZE.`,
    passes: true,
  },
  {
    matches: code(/^57P03$/),
    say: ({ server, message }) => `${server} takes no connections now: ${message}.`,
    passes: true,
  },
  {
    matches: code(/^(08|53|57|58)...$/),
    say: ({ server, message, code }) => `${server} says: ${message} (${code}).`,
    passes: true,
  },
  {
    matches: code(/^[0-9A-Z]{5}$/),
    say: ({ server, message, code }) => `${server} says: ${message} (${code}).`,
  },
]

/**
 * @param url the URL of the failed connection.
 * @returns database_unavailable: retryable when the problem may pass by itself.
 */
export function explainConnectError(error: unknown, url: string): AppError {
  if (error instanceof AppError && !(error.retryable && error.cause)) return error
  const cause = error instanceof AppError ? error.cause : error
  const failure = { ...whereTo(url), ...wordsOf(cause) }
  const known = EXPLANATIONS.find(({ matches }) => matches(failure))
  if (!known) return unavailable(cause)
  return cannotConnect(known.say(failure), { cause, retryable: known.passes === true })
}

export const cannotConnect = (
  what: string,
  { cause, retryable = false }: { cause?: unknown; retryable?: boolean } = {},
) => new AppError('database_unavailable', `DATABASE_URL: ${what}`, { retryable, cause })

function wordsOf(error: unknown): Pick<Failure, 'code' | 'message'> {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return { code: typeof code === 'string' ? code : '', message: String(message) }
}

/** As the driver reads it. */
function whereTo(text: string): Pick<Failure, 'server' | 'host' | 'user' | 'database'> {
  const url = new URL(toReadableUrl(text))
  const { searchParams } = url
  const host = searchParams.get('host') || decodeURIComponent(url.hostname) || 'localhost'
  const port = searchParams.get('port') || url.port || '5432'
  const user = searchParams.get('user') || decodeURIComponent(url.username)
  const database = decodeURIComponent(url.pathname.slice(1)) || user
  const server = host.startsWith('/')
    ? `the socket ${host}/.s.PGSQL.${port}`
    : `the server ${host}:${port}`
  return { server, host, user: user || 'this user', database: database || 'of that name' }
}
