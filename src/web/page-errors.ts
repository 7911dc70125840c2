import type { ErrorRequestHandler, Request } from 'express'
import { AppError, toAppError } from '../errors.ts'
import { isMcp } from '../http/error-handler.ts'
import type { Logger } from '../log.ts'
import { errorPage, titleOf } from './kit/error-page.ts'
import { hidden } from './kit/form.ts'
import { messageOnPages } from './kit/forms.ts'
import type { Html } from './kit/html.ts'
import { applyPageSecurity } from './kit/page-security.ts'
import { sendPage } from './kit/send-page.ts'
import { sendToSignIn } from './page-context.ts'
import { isPageVisit } from './page-visit.ts'
import { askForProof } from './pages/proof/routes.ts'
import { typedForm } from './pages/unsent/typed-form.ts'
import { unsentForm } from './pages/unsent/view.ts'
import { peekVisit } from './session/browser-session.ts'
import { CSRF_FIELD, tokenOfSession } from './session/csrf.ts'

/** The error handler of the pages: renders an error page. Errors of other clients are passed on. */
export function pageErrors(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, req, res, next) => {
    if (res.headersSent || !isForPerson(req)) return next(thrown)
    const error = toPageError(thrown, req)
    if (error.code === 'internal') log.error({ err: error }, 'page failed')
    if (error.code === 'proof_required') return askForProof(req, res)
    applyPageSecurity(res)
    // The session ended while the request was processed.
    if (error.code === 'unauthenticated') return sendToSignIn(req, res)
    res.removeHeader('Content-Disposition')
    const { status, retryAfterSeconds } = error
    const typed = typedForm(req)
    const page = errorPage({
      title: titleOf(status),
      message: messageOnPages(error),
      isSignedIn: Boolean(peekVisit(req)?.caller),
      unsent: typed && unsentForm(typed, csrfFieldOf(req)),
    })
    sendPage(req, res, page, { status, retryAfterSeconds })
  }
}

/** Null where the session is not known, as in an outage: the form is then shown once more. */
function csrfFieldOf(req: Request): Html | null {
  const secret = peekVisit(req)?.sessionSecret ?? null
  return secret === null ? null : hidden(CSRF_FIELD, tokenOfSession(secret))
}

/** Browsers name HTML in Accept; API clients accept anything. */
const isForPerson = (req: Request) =>
  PAGES.test(req.path) ||
  ((!isMcp(req) || isPageVisit(req)) && req.accepts(['json', 'html']) === 'html')

const PAGES = /^\/(?:$|(?:sign-(?:up|in|out)|account|admin|connect|join|reset|shared)(?:\/|$))/

function toPageError(thrown: unknown, { method }: Request): AppError {
  if (thrown instanceof AppError) return thrown
  const { status, limit } = (thrown ?? {}) as { status?: unknown; limit?: unknown }
  if (status === 413) {
    const most = typeof limit === 'number' ? `: it may have ${limit} bytes` : ''
    return new AppError('request_too_large', `The form that was sent is too large${most}.`)
  }
  const isUnreadable = typeof status === 'number' && status >= 400 && status < 500
  return isUnreadable
    ? new AppError(
        'invalid_input',
        `${method === 'POST' ? 'The form that was sent' : 'This address'} cannot be read.`,
      )
    : toAppError(thrown)
}
