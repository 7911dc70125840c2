import { type Request, type Response, Router } from 'express'
import { networkOf } from '../../../http/rate-limit/network.ts'
import { ChosenPassword, Email, Username } from '../../../services/access/field-rules.ts'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { knownReturnTo } from '../../kit/return-to.ts'
import { sendPage } from '../../kit/send-page.ts'
import type { PageContext } from '../../page-context.ts'
import { beginSession, visitOf } from '../../session/browser-session.ts'
import { invitationOf } from '../join/invitation.ts'
import { entranceOf } from '../sign-in/routes.ts'
import { signUpPage } from '../sign-in/view.ts'

const RULES = { username: Username, email: Email, password: ChosenPassword }
const BESIDE = {
  username_taken: 'username',
  email_taken: 'email',
  invalid_input: 'password',
} as const

/** /sign-up: creates an account, and continues to its Anthropic key. */
export function signUpRoutes(context: PageContext): Router {
  const { services, cookies, limiters } = context
  const router = Router()

  const show = async (req: Request, res: Response, form: FormState, refusal?: Refusal) => {
    const token = invitationOf(req.query.invitation ?? req.body?.invitation)
    const isOpen = token !== undefined && (await services.invitations.look(token)) !== undefined
    const entrance = { ...entranceOf(req, res, context), ...(isOpen && { invitation: token }) }
    sendPage(req, res, signUpPage(entrance, form), refusal)
  }

  router.get('/sign-up', async (req, res) => {
    const returnTo = knownReturnTo(req.query.return_to)
    if (visitOf(req).caller) return res.redirect(303, returnTo ?? '/account')
    await show(req, res, EMPTY_FORM)
  })

  router.post('/sign-up', ...limiters.registrations, async (req, res) => {
    const [username, email] = [textField(req, 'username').trim(), textField(req, 'email').trim()]
    const invitation = invitationOf(textField(req, 'invitation'))
    const wanted = { username, email, password: textField(req, 'password'), invitation }
    const refuse = (refusal: Refusal) =>
      show(req, res, { values: { username, email }, errors: refusal.errors }, refusal)
    const broken = brokenRules(RULES, wanted)
    if (broken) return refuse(broken)
    const result = await attempt(() => services.accounts.signUp(wanted, networkOf(req)), BESIDE)
    if ('refusal' in result) return refuse(result.refusal)
    await beginSession({ req, res }, services.sessions, cookies.session, result.done)
    const returnTo = knownReturnTo(textField(req, 'return_to')) ?? '/account'
    res.redirect(303, `/account/key?return_to=${encodeURIComponent(returnTo)}`)
  })

  return router
}
