/** What the routes of the pages share. */

import type { Request, RequestHandler, Response } from 'express'
import type { RateLimiters } from '../http/rate-limit/rate-limit.ts'
import type { OwnOrigins } from '../network/own-origins.ts'
import type { AuthorizationServer } from '../oauth/authorization-server.ts'
import type { Caller } from '../services/access/caller.ts'
import type { Services } from '../services/index.ts'
import { hidden } from './kit/form.ts'
import type { Html } from './kit/html.ts'
import { pageAbove } from './kit/return-to.ts'
import { sendPage } from './kit/send-page.ts'
import { typedForm } from './pages/unsent/typed-form.ts'
import { sessionEndedPage } from './pages/unsent/view.ts'
import { visitOf } from './session/browser-session.ts'
import type { PageCookies } from './session/cookies.ts'
import { CSRF_FIELD, csrfToken } from './session/csrf.ts'

export type PageContext = {
  services: Services
  authorizationServer: AuthorizationServer
  origins: OwnOrigins
  isOpenMcpServed: boolean
  registrationOpen: boolean
  isSharingOn: boolean
  limiters: RateLimiters
  cookies: PageCookies
}

/** The hidden CSRF field of every form. */
export const csrfField = (
  req: Request,
  res: Response,
  { cookies }: Pick<PageContext, 'cookies'>,
): Html => hidden(CSRF_FIELD, csrfToken(req, res, cookies.csrf))

/** @throws Error when {@link requireSignIn} did not run before. */
export function callerOf(req: Request): Caller {
  const { caller } = visitOf(req)
  if (!caller) throw new Error('requireSignIn has to run first')
  return caller
}

/** Sends a visitor who is not signed in to the sign-in page, which leads back. */
export const requireSignIn: RequestHandler = (req, res, next) => {
  if (visitOf(req).caller) return next()
  sendToSignIn(req, res)
}

/** Where text was typed, on a page that keeps it. */
export function sendToSignIn(req: Request, res: Response): void {
  const signIn = `/sign-in?return_to=${encodeURIComponent(addressOf(req))}`
  const typed = typedForm(req)
  if (typed === undefined) res.redirect(303, signIn)
  else sendPage(req, res, sessionEndedPage(typed, signIn), { status: 403 })
}

/** Without the `done` notice; for a form, the page that it is on. */
function addressOf({ method, originalUrl }: Request): string {
  const [path = '', query] = originalUrl.split('?', 2)
  if (method !== 'GET' && method !== 'HEAD') return pageAbove(path)
  const params = new URLSearchParams(query)
  params.delete('done')
  return params.size === 0 ? path : `${path}?${params}`
}
