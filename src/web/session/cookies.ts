/** The cookies of the pages. */

import type { Request, Response } from 'express'

export type PageCookie = {
  read(req: Request): string | undefined
  /** Without `lifeMs` it is a session cookie. */
  write(res: Response, value: string, lifeMs?: number): void
  clear(res: Response): void
}

export type PageCookies = { session: PageCookie; csrf: PageCookie }

/**
 * Over https the names begin with `__Host-`: a browser then accepts them only from this exact host,
 * so that a neighbouring subdomain cannot plant one (RFC 6265bis, section 4.1.3.2).
 */
export function createPageCookies(publicUrl: string): PageCookies {
  const isSecure = new URL(publicUrl).protocol === 'https:'
  const options = { secure: isSecure, httpOnly: true, sameSite: 'lax', path: '/' } as const
  const define = (plainName: string): PageCookie => {
    const name = isSecure ? `__Host-${plainName}` : plainName
    return {
      read: (req) => readCookie(req.headers.cookie, name),
      write: (res, value, lifeMs) =>
        void res.cookie(
          name,
          value,
          lifeMs === undefined ? options : { ...options, maxAge: lifeMs },
        ),
      clear: (res) => void res.clearCookie(name, options),
    }
  }
  return { session: define('session'), csrf: define('csrf') }
}

/** Our values are base64url, so they need no unquoting or decoding. */
function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name && value !== undefined && value !== '') return value
  }
  return undefined
}
