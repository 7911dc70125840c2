import { type Request, type Response, Router } from 'express'
import { ChosenPassword } from '../../../services/account-rules.ts'
import { goOnUnder } from '../../browser-session.ts'
import { notice } from '../../views/notices.ts'
import { passwordPage } from '../../views/password.ts'
import { callerOf, csrfField, type Desk } from './desk.ts'
import { attempt, brokenRules, type Refusal, textField } from './forms.ts'
import { sendPage } from './send-page.ts'

const BESIDE = { invalid_credentials: 'current_password', invalid_input: 'new_password' } as const

/** /account/password. */
export function passwordRoutes(desk: Desk): Router {
  const { services, cookies } = desk
  const router = Router()

  const show = (req: Request, res: Response, refusal?: Refusal) => {
    const page = passwordPage({
      csrfField: csrfField(req, res, desk),
      username: callerOf(req).username,
      notice: notice(req.path, req.query.done),
      form: { values: {}, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/password', (req, res) => show(req, res))

  router.post('/account/password', async (req, res) => {
    const currentPassword = textField(req, 'current_password')
    const newPassword = textField(req, 'new_password')
    const broken = brokenRules({ new_password: ChosenPassword }, { new_password: newPassword })
    if (broken) return show(req, res, broken)
    const result = await attempt(
      () => services.accounts.changePassword(callerOf(req), { currentPassword, newPassword }),
      BESIDE,
    )
    if ('refusal' in result) return show(req, res, result.refusal)
    const { renewed } = result.done
    if (renewed) goOnUnder(renewed, { req, res }, cookies.session)
    res.redirect(303, '/account/password?done=password-changed')
  })

  return router
}
