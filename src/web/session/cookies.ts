/** The cookies of the pages. */

import type { Request, Response } from 'express'

export type PageCookie = {
  read(req: Request): string | undefined
  /** Without a life it ends with the browser. */
  write(res: Response, value: string, lifeMs?: number): void
  clear(res: Response): void
}

export type PageCookies = { session: PageCookie; csrf: PageCookie }

/**
 * Behind https their names begin with `__Host-`: a browser then takes them from this very host
 * only, so that no neighbouring subdomain can plant one (RFC 6265bis, section 4.1.3.2).
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

/** Our own values are base64url: nothing to unquote or decode. */
function readCookie(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const [key, value] = pair.trim().split('=', 2)
    if (key === name && value !== undefined && value !== '') return value
  }
  return undefined
}
