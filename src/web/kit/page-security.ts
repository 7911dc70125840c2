/** Security headers of the pages. */

import type { RequestHandler, Response } from 'express'

/**
 * Headers of every page: no inline or foreign content, no frames, no caching.
 *
 * The referrer is sent within the site: with `no-referrer`, browsers send `Origin: null` with a
 * form, and the CSRF check needs the origin (Fetch Standard, 3.2).
 */
export const pageSecurity: RequestHandler = (_req, res, next) => {
  applyPageSecurity(res)
  next()
}

export function applyPageSecurity(res: Response): void {
  res.setHeader('Content-Security-Policy', contentSecurityPolicy())
  res.setHeader('X-Frame-Options', 'DENY')
  res.setHeader('Referrer-Policy', 'same-origin')
  res.setHeader('Cache-Control', 'no-store')
}

/**
 * Chromium applies form-action to redirects after a form, too: a page whose form ends at a client's
 * redirect URI has to allow it.
 */
export function allowFormsToEndAt(res: Response, redirectUri: string): void {
  res.setHeader('Content-Security-Policy', contentSecurityPolicy(formTarget(redirectUri)))
}

function contentSecurityPolicy(formTarget = ''): string {
  return [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    `form-action 'self'${formTarget === '' ? '' : ` ${formTarget}`}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
}

/**
 * The origin if CSP can express it; otherwise the scheme (custom schemes, IPv6 addresses). A URL's
 * host may contain `;`, `,` and `*`, which have a meaning in CSP.
 */
function formTarget(redirectUri: string): string {
  const { protocol, hostname, origin } = new URL(redirectUri)
  const isWeb = protocol === 'https:' || protocol === 'http:'
  return isWeb && /^[a-z0-9._-]+$/.test(hostname) ? origin : protocol
}
