/** Validates DATABASE_URL. Messages never quote its values: one may be a password. */

import { editsBetween } from '../text/edit-distance.ts'

const EXAMPLE = 'postgres://user:password@host:5432/database'
const AS_IT_IS = 'or leave the password out and set DATABASE_PASSWORD to it as it is'

/** What is wrong and what to write; undefined when it is valid. */
export function databaseUrlProblem(text: string): string | undefined {
  if (/^sqlite/i.test(text)) {
    return `SQLite is not supported: remove DATABASE_URL to use the embedded PostgreSQL in DATA_DIR, or write ${EXAMPLE}`
  }
  if (/^["']/.test(text)) return `has quotes around it, which belong to it here: write ${EXAMPLE}`
  if (!/^postgres(ql)?:\/\/./.test(text)) {
    return `must look like ${EXAMPLE} (or be left out for the embedded database)`
  }
  return cutShort(text) ?? hostProblem(text) ?? misspeltParameter(text)
}

/** An unescaped `/`, `?` or `#` in the password would end the host part of the URL. */
function cutShort(text: string): string | undefined {
  const rest = text.slice(text.indexOf('//') + 2)
  const end = rest.search(/[/?#]/)
  const isCut = rest.includes('#') || (end !== -1 && isInPassword(rest, end))
  if (!isCut) return undefined
  return `has a /, ? or # that ends it too early, probably in the password: write them as %2F, %3F and %23, ${AS_IT_IS}`
}

/** There is no @ before, but one after, in what would be the path or a parameter's name. */
function isInPassword(rest: string, end: number): boolean {
  const [path = '', query = ''] = rest.slice(end).split(/\?(.*)/s)
  const [parameter = ''] = query.split('=')
  return !rest.slice(0, end).includes('@') && `${path}${parameter}`.includes('@')
}

/**
 * The same in a form that `URL` can parse: adds a host where only a parameter has one, and escapes
 * stray `%` and blanks.
 */
export function toReadableUrl(text: string): string {
  return text
    .replace(/^([^/]*\/\/[^/?]*@)(?=[/?]|$)/, '$1localhost')
    .replace(/%(?![0-9a-f]{2})/gi, '%25')
    .replaceAll(' ', '%20')
}

function hostProblem(text: string): string | undefined {
  const [, host = ''] = /^[^/]*\/\/(?:[^/?]*@)?([^/?]*)/.exec(text) ?? []
  const readable = toReadableUrl(text)
  const url = URL.canParse(readable) ? new URL(readable) : undefined
  if (`${host}${url?.searchParams.get('host') ?? ''}`.includes(',')) {
    return 'names several hosts, and the gateway connects to one: name an address that leads to the primary (a load balancer, a pooler, or a name that is moved at a failover)'
  }
  if (url) return undefined
  return `cannot be read as a URL: write ${EXAMPLE}, with % and two digits for each character of the password that is no letter or digit, ${AS_IT_IS}`
}

/** The driver ignores what it does not know; without these the connection is another one. */
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'schema']

function misspeltParameter(text: string): string | undefined {
  for (const name of new URL(toReadableUrl(text)).searchParams.keys()) {
    const meant = PARAMETERS.find((known) => editsBetween(name.toLowerCase(), known) <= 1)
    if (meant !== undefined && meant !== name) {
      return `has the parameter ${name}, which does nothing: write ${meant}, or remove it`
    }
  }
  return undefined
}
