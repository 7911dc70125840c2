/** What a browser must never do with our pages. */

import type { RequestHandler, Response } from 'express'

/**
 * Headers of every page. Nothing inline, nothing foreign, no frames, nothing kept in a cache.
 *
 * The referrer stays within the site: with `no-referrer` a browser sends `Origin: null` with a
 * form, and the check of its sender needs the origin (Fetch Standard, 3.2).
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
 * Chromium holds form-action against redirects after a form was sent, too: a page whose form ends
 * at a client's redirect URI has to name it.
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
 * An origin where CSP has a way to write it; else the scheme: an app's own, or an IPv6 address. A
 * host of a URL may hold `;`, `,` and `*`, which would be more than a host here.
 */
function formTarget(redirectUri: string): string {
  const { protocol, hostname, origin } = new URL(redirectUri)
  const isWeb = protocol === 'https:' || protocol === 'http:'
  return isWeb && /^[a-z0-9._-]+$/.test(hostname) ? origin : protocol
}
