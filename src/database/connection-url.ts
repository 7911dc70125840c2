/** DATABASE_URL as libpq reads it: what psql connects to with it, the gateway connects to. */

import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { AppError } from '../errors.ts'

/**
 * The URL for the driver, which by itself takes `require` for `verify-full`, and `prefer` too
 * (PostgreSQL documentation: libpq, SSL Support). One that prefers TLS tries it once, here.
 *
 * @param warn told when the connection is encrypted but may be with anybody.
 * @throws AppError database_unavailable, which says what to write, for modes and files that are none.
 */
export async function toDriverUrl(
  given: string,
  warn: (message: string) => void,
  connectTimeoutMs: number,
): Promise<string> {
  const url = new URL(given)
  const mode = url.searchParams.get('sslmode')
  if (mode === null || mode === 'no-verify' || url.searchParams.has('uselibpqcompat')) return given
  if (!MODES.includes(mode)) throw cannotConnect(`It has no sslmode=${mode}; write ${MODES_TEXT}.`)
  // As libpq does: nothing is encrypted on the way to a socket of this machine.
  if (url.searchParams.get('host')?.startsWith('/')) return withMode(url, 'disable')
  useSystemRoots(url)
  checkFiles(url)
  if (mode === 'allow' || mode === 'prefer') {
    const encrypted = withMode(url, 'prefer')
    return (await hasTls(encrypted, connectTimeoutMs)) ? encrypted : withMode(url, 'disable')
  }
  const hasRoot = url.searchParams.has('sslrootcert')
  if (mode === 'verify-ca' && !hasRoot) {
    throw cannotConnect('sslmode=verify-ca needs sslrootcert=/path/to/ca.pem beside it.')
  }
  if (mode === 'require' && !hasRoot) warn(UNVERIFIED)
  return withMode(url, mode)
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']
const MODES_TEXT = MODES.join(', ')

const UNVERIFIED =
  'DATABASE_URL has sslmode=require, which encrypts without looking whose certificate it is. To be sure of the server write sslmode=verify-full, with sslrootcert=/path/to/ca.pem for a private authority.'

/**
 * What to write for a connection that the URL cannot make; undefined when the server is only away.
 */
export function explainConnectError(error: unknown): AppError | undefined {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (CERTIFICATE_ERRORS.test(code)) {
    return cannotConnect(
      `The server's certificate cannot be verified (${code}). Write sslmode=verify-full&sslrootcert=/path/to/ca.pem with the authority that signed it, under the name in the certificate; or sslmode=require, to encrypt without verifying.`,
      error,
    )
  }
  if (message === NO_TLS) {
    return cannotConnect('The server has no TLS. Write sslmode=disable, or enable it there.', error)
  }
  if (code === '28000' && /no encryption/.test(message)) {
    return cannotConnect('The server demands TLS. Write sslmode=require or verify-full.', error)
  }
  if (/^(28...|3D000)$/.test(code)) return cannotConnect(`The server says: ${message}.`, error)
  return undefined
}

const CERTIFICATE_ERRORS =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+|CERT_\w+|ERR_TLS_CERT_ALTNAME_INVALID)$/
/** pg's words. */
const NO_TLS = 'The server does not support SSL connections'

function withMode(url: URL, mode: string): string {
  const changed = new URL(url)
  changed.searchParams.set('sslmode', mode)
  changed.searchParams.set('uselibpqcompat', 'true')
  return changed.href
}

/** libpq's word for the authorities that this machine trusts, which is where Node looks anyway. */
function useSystemRoots(url: URL): void {
  if (url.searchParams.get('sslrootcert') !== 'system') return
  if (url.searchParams.get('sslmode') !== 'verify-full') {
    throw cannotConnect('sslrootcert=system goes with sslmode=verify-full only.')
  }
  url.searchParams.delete('sslrootcert')
}

function checkFiles(url: URL): void {
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) {
    const file = url.searchParams.get(name)
    if (file === null) continue
    try {
      readFileSync(file)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw cannotConnect(`The file of ${name}, ${file}, cannot be read (${code}).`, error)
    }
  }
}

async function hasTls(url: string, connectionTimeoutMillis: number): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch (error) {
    // Anything else is for the pool to meet again, and to tell.
    return (error as Error).message !== NO_TLS
  } finally {
    await client.end().catch(() => {})
  }
}

const cannotConnect = (what: string, cause?: unknown) =>
  new AppError('database_unavailable', `DATABASE_URL cannot be used. ${what}`, {
    retryable: false,
    cause,
  })
