/**
 * Identifies the visitor of a page by the session cookie.
 *
 * What a visitor may see is not decided here.
 */

import type { Request, RequestHandler, Response } from 'express'
import { networkOf } from '../../http/rate-limit/network.ts'
import type { PasswordProof } from '../../services/access/authority.ts'
import type { Caller } from '../../services/access/caller.ts'
import type { BrowserSecret, SessionService } from '../../services/access/sessions.ts'
import { browserName } from './browser-name.ts'
import type { PageCookie } from './cookies.ts'

/** A visitor, signed in or not. */
export type Visit = {
  caller: Caller | null
  /** The secret of a valid session, which CSRF tokens are bound to. */
  sessionSecret: string | null
}

const SESSION_LIFE_MS = 12 * 3_600_000

const visits = new WeakMap<Request, Visit>()

/** Undefined for a request to anything but a page. */
export const peekVisit = (req: Request): Visit | undefined => visits.get(req)

/** @throws Error when {@link identifyVisitor} did not run before. */
export function visitOf(req: Request): Visit {
  const visit = visits.get(req)
  if (!visit) throw new Error('identifyVisitor has to run first')
  return visit
}

export function identifyVisitor(
  sessions: Pick<SessionService, 'findBrowserSession'>,
  cookie: PageCookie,
): RequestHandler {
  return async (req, _res, next) => {
    const secret = cookie.read(req)
    const caller = secret === undefined ? undefined : await sessions.findBrowserSession(secret)
    const sessionSecret = caller && secret !== undefined ? secret : null
    const visitor = caller ? { ...caller, network: networkOf(req) } : null
    visits.set(req, { caller: visitor, sessionSecret })
    next()
  }
}

/** Continues the session under a new secret, also for the forms of the page being sent. */
export function goOnUnder(
  { secret, expiresAt }: BrowserSecret,
  { req, res }: { req: Request; res: Response },
  cookie: PageCookie,
): void {
  visits.set(req, { ...visitOf(req), sessionSecret: secret })
  cookie.write(res, secret, Math.max(0, expiresAt.getTime() - Date.now()))
}

/**
 * Signs a browser in. It always gets a new secret, so that a planted one is worthless (session
 * fixation), and its previous session ends.
 *
 * @throws AppError invalid_credentials when the password has been changed since it was checked.
 */
export async function beginSession(
  { req, res }: { req: Request; res: Response },
  sessions: Pick<SessionService, 'beginBrowserSession' | 'revoke'>,
  cookie: PageCookie,
  proof: PasswordProof,
): Promise<void> {
  const expiresAt = new Date(Date.now() + SESSION_LIFE_MS)
  const name = browserName(req.headers['user-agent'])
  const secret = await sessions.beginBrowserSession(proof, expiresAt, name)
  const { caller } = visitOf(req)
  if (caller) await sessions.revoke(caller)
  cookie.write(res, secret, SESSION_LIFE_MS)
}
