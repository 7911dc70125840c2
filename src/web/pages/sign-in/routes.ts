import { type Request, type Response, Router } from 'express'
import { networkOf } from '../../../http/rate-limit/network.ts'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import { attempt, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { knownReturnTo } from '../../kit/return-to.ts'
import { sendPage } from '../../kit/send-page.ts'
import { csrfField, type PageContext } from '../../page-context.ts'
import { beginSession, visitOf } from '../../session/browser-session.ts'
import { type Entrance, signInPage } from './view.ts'

/** /sign-in and /sign-out. */
export function signInRoutes(context: PageContext): Router {
  const { services, cookies, limiters } = context
  const router = Router()

  const show = (req: Request, res: Response, form: FormState, refusal?: Refusal) =>
    sendPage(req, res, signInPage(entranceOf(req, res, context), form), refusal)

  router.get('/sign-in', (req, res) => {
    const returnTo = knownReturnTo(req.query.return_to)
    if (visitOf(req).caller) return res.redirect(303, returnTo ?? '/account')
    show(req, res, EMPTY_FORM)
  })

  router.post('/sign-in', ...limiters.signIns, async (req, res) => {
    // Phone keyboards append a space.
    const username = textField(req, 'username').trim()
    const password = textField(req, 'password')
    const result = await attempt(async () => {
      const proof = await services.accounts.checkPassword(username, password, networkOf(req))
      await beginSession({ req, res }, services.sessions, cookies.session, proof)
    })
    if ('refusal' in result) {
      return show(req, res, { values: { username }, errors: result.refusal.errors }, result.refusal)
    }
    res.redirect(303, knownReturnTo(textField(req, 'return_to')) ?? '/account')
  })

  router.post('/sign-out', async (req, res) => {
    const { caller } = visitOf(req)
    if (caller) await services.sessions.revoke(caller)
    cookies.session.clear(res)
    const returnTo = knownReturnTo(textField(req, 'return_to'))
    const onward = returnTo === undefined ? '' : `&return_to=${encodeURIComponent(returnTo)}`
    res.redirect(303, `/sign-in?done=signed-out${onward}`)
  })

  return router
}

/** What both pages show; after a refused form, return_to comes from the form. */
export function entranceOf(req: Request, res: Response, context: PageContext): Entrance {
  return {
    csrfField: csrfField(req, res, context),
    returnTo: knownReturnTo(req.query.return_to ?? req.body?.return_to),
    registrationOpen: context.registrationOpen,
    notice: notice(req.path, req.query.done),
  }
}
