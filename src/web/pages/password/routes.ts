import { type Request, type Response, Router } from 'express'
import { ChosenPassword } from '../../../services/access/field-rules.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { goOnUnder } from '../../session/browser-session.ts'
import { passwordPage } from './view.ts'

const BESIDE = { invalid_credentials: 'current_password', invalid_input: 'new_password' } as const

/** /account/password. */
export function passwordRoutes(context: PageContext): Router {
  const { services, cookies } = context
  const router = Router()

  const show = (req: Request, res: Response, refusal?: Refusal) => {
    const page = passwordPage({
      csrfField: csrfField(req, res, context),
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
