/** Reads DATABASE_URL as libpq does: the gateway connects to the same server as psql. */

import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { toReadableUrl } from '../../config/database-url.ts'
import { cannotConnect, NO_TLS } from './connect-errors.ts'

/**
 * The URL for the driver, which unlike libpq treats `require` and `prefer` as `verify-full`
 * (PostgreSQL documentation: libpq, SSL Support). With `prefer`, TLS is tried once, here.
 *
 * `schema` is what other programs call the search path.
 *
 * @param warn called when the connection is encrypted but the server is not verified.
 * @throws AppError database_unavailable, which says what to write, for an unknown mode or file.
 */
export async function toDriverUrl(
  given: string,
  warn: (message: string) => void,
  connectTimeoutMs: number,
): Promise<string> {
  const url = withSearchPath(new URL(toReadableUrl(given)))
  const mode = url.searchParams.get('sslmode')
  if (mode === null || mode === 'no-verify' || url.searchParams.has('uselibpqcompat')) {
    return url.href
  }
  if (!MODES.includes(mode)) throw cannotConnect(`It has no sslmode=${mode}; write ${MODES_TEXT}.`)
  // Like libpq, no TLS over a Unix socket.
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

/** Quoted as a name, as other programs do, and escaped as an option. */
function withSearchPath(url: URL): URL {
  const schema = url.searchParams.get('schema')
  if (schema === null) return url
  const changed = new URL(url)
  const name = `"${schema.replaceAll('"', '""')}"`.replace(/[\\ ]/g, '\\$&')
  const options = url.searchParams.get('options')
  changed.searchParams.delete('schema')
  changed.searchParams.set('options', `${options ? `${options} ` : ''}-c search_path=${name}`)
  return changed
}

function withMode(url: URL, mode: string): string {
  const changed = new URL(url)
  changed.searchParams.set('sslmode', mode)
  changed.searchParams.set('uselibpqcompat', 'true')
  return changed.href
}

/** `system` is libpq's name for the authorities this machine trusts, which is Node's default. */
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
      throw cannotConnect(`The file of ${name}, ${file}, cannot be read (${code}).`, {
        cause: error,
      })
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
    // The pool meets any other error again, and reports it.
    return (error as Error).message !== NO_TLS
  } finally {
    await client.end().catch(() => {})
  }
}
