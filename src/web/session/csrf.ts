/**
 * CSRF protection: checks that a form was sent from our own page.
 *
 * Two checks, each sufficient: what the browser says of the sender (Sec-Fetch-Site, else Origin),
 * and a token in the form that only our page can have. A signed-in visitor's token is bound to the
 * session, a signed-out one's to a cookie of its own (OWASP CSRF Prevention Cheat Sheet: signed
 * double-submit).
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { AppError } from '../../errors.ts'
import { visitOf } from './browser-session.ts'
import type { PageCookie } from './cookies.ts'

/** The name of the hidden field. */
export const CSRF_FIELD = 'csrf_token'

/** The token for the forms of the page being sent. Sets the cookie if the visitor has none. */
export function csrfToken(req: Request, res: Response, cookie: PageCookie): string {
  const known = secretOf(req, cookie)
  if (known !== undefined) return tokenFrom(known)
  const secret = randomBytes(32).toString('base64url')
  cookie.write(res, secret)
  return tokenFrom(secret)
}

/** Refuses a form sent by another site, or made for another session. */
export function refuseForgedForms(cookie: PageCookie, publicUrl: string): RequestHandler {
  const ownOrigin = new URL(publicUrl).origin
  return (req, _res, next) => {
    if (req.method === 'GET' || req.method === 'HEAD') return next()
    const secret = secretOf(req, cookie)
    const given: unknown = req.body?.[CSRF_FIELD]
    if (!isFromOwnPage(req, ownOrigin)) return next(forged())
    // Cross-site forms are already refused, so the browser did not keep our cookie.
    if (secret === undefined) return next(noCookie())
    if (isSame(given, tokenFrom(secret))) return next()
    next(isSaidToBeOurs(req) ? stale() : forged())
  }
}

function secretOf(req: Request, cookie: PageCookie): string | undefined {
  return visitOf(req).sessionSecret ?? cookie.read(req)
}

/** The token of a signed-in visitor. */
export const tokenOfSession = (secret: string) => tokenFrom(secret)

const tokenFrom = (secret: string) =>
  createHmac('sha256', secret).update('form').digest('base64url')

function isSame(given: unknown, expected: string): boolean {
  if (typeof given !== 'string') return false
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Only browsers send these headers; a client without them has no cookies to abuse. */
function isFromOwnPage(req: Request, ownOrigin: string): boolean {
  const { 'sec-fetch-site': site, origin } = req.headers
  if (isSaidToBeOurs(req)) return true
  return site === undefined && (origin === undefined || origin === ownOrigin)
}

/** Whether the browser itself says that one of our pages sent the form; not all browsers say it. */
export function isSaidToBeOurs({ headers }: Request): boolean {
  const { 'sec-fetch-site': site, origin, host } = headers
  if (site !== undefined) return site === 'same-origin'
  // Under another name than PUBLIC_URL's (loopback), page and form still share a host.
  return origin !== undefined && hostOf(origin) === host
}

const hostOf = (origin: string) => (URL.canParse(origin) ? new URL(origin).host : undefined)

const noCookie = () =>
  new AppError(
    'forbidden',
    'Your browser sent no cookie with this form, and signing in here needs one. Allow cookies for this site, then go back, reload the page and send the form again.',
  )

const stale = () =>
  new AppError(
    'forbidden',
    'This form was opened in another session, so nothing was done yet. Send it again in this one.',
  )

const forged = () =>
  new AppError(
    'forbidden',
    'This form has gone stale, or was sent from another site. Go back, reload the page and send it again.',
  )
