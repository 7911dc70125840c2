/** Asks for the password again before a sensitive form, then continues with the form. */

import type { Request, RequestHandler, Response } from 'express'
import { AppError } from '../../../errors.ts'
import { type FormBody, holdForm, takeForm } from '../../../services/access/held-form.ts'
import { hidden } from '../../kit/form.ts'
import { attempt, type Refusal, textField } from '../../kit/forms.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, type PageContext } from '../../page-context.ts'
import { goOnUnder, visitOf } from '../../session/browser-session.ts'
import { CSRF_FIELD, tokenOfSession } from '../../session/csrf.ts'
import { HELD_FIELD, PROOF_FIELD, proofPage } from './view.ts'

const BESIDE = { invalid_credentials: PROOF_FIELD } as const

/**
 * Runs before the handler of a form that may throw `proof_required`. When the held form comes back
 * with the password, checks it like a sign-in, rate limits included, and restores the form.
 */
export function takesProof({
  services,
  limiters,
  cookies,
}: Pick<PageContext, 'services' | 'limiters' | 'cookies'>) {
  const take: RequestHandler = async (req, res, next) => {
    const form = heldForm(req)
    const password = textField(req, PROOF_FIELD)
    const result = await attempt(() => services.accounts.prove(callerOf(req), password), BESIDE)
    if ('refusal' in result) return askForProof(req, res, form, result.refusal)
    goOnUnder(result.done, { req, res }, cookies.session)
    req.body = form
    next()
  }
  return [...limiters.signIns, take].map(onlyWithProof)
}

const onlyWithProof =
  (handler: RequestHandler): RequestHandler =>
  (req, res, next) =>
    textField(req, HELD_FIELD) === '' ? next() : handler(req, res, next)

/** Shows the password page, which holds the form, instead of running its action. */
export function askForProof(
  req: Request,
  res: Response,
  { [CSRF_FIELD]: _used, ...form }: FormBody = req.body,
  refusal?: Refusal,
): void {
  const { sessionSecret, path } = bindingOf(req)
  const page = proofPage({
    csrfField: hidden(CSRF_FIELD, tokenOfSession(sessionSecret)),
    username: callerOf(req).username,
    path,
    held: holdForm(form, { sessionSecret, path }),
    form: { values: {}, errors: refusal?.errors ?? {} },
  })
  sendPage(req, res, page, refusal)
}

function heldForm(req: Request): FormBody {
  const form = takeForm(textField(req, HELD_FIELD), bindingOf(req))
  if (form) return form
  throw new AppError(
    'forbidden',
    'This form has gone stale: it waited for a password in another session. Go back and send it again.',
  )
}

function bindingOf(req: Request): { sessionSecret: string; path: string } {
  const { sessionSecret } = visitOf(req)
  if (sessionSecret === null) throw new Error('requireSignIn has to run first')
  return { sessionSecret, path: req.path }
}
