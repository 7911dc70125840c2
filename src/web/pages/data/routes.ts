import { type Request, type Response, Router } from 'express'
import { sendExport } from '../../../http/send-export.ts'
import { dataPage } from './view.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { attempt, type Refusal, refused, textField } from '../../kit/forms.ts'
import { takesProof } from '../proof/routes.ts'
import { sendPage } from '../../kit/send-page.ts'

const BESIDE = { invalid_credentials: 'password' } as const

/** /account/data: download the data, or delete the account. */
export function dataRoutes(context: PageContext): Router {
  const { services, cookies } = context
  const router = Router()

  const show = (req: Request, res: Response, refusal?: Refusal) => {
    const { username } = callerOf(req)
    const values = { username: textField(req, 'username') }
    const form = refusal ? { values, errors: refusal.errors } : { values: {}, errors: {} }
    sendPage(req, res, dataPage({ csrfField: csrfField(req, res, context), username, form }), refusal)
  }

  router.get('/account/data', (req, res) => show(req, res))

  router.post('/account/export', ...takesProof(context), async (req, res) => {
    await sendExport(res, services.exports.stream(callerOf(req)))
  })

  router.post('/account/delete', async (req, res) => {
    const caller = callerOf(req)
    if (textField(req, 'username').trim().toLowerCase() !== caller.username.toLowerCase()) {
      return show(req, res, refused({ username: 'This is not your username.' }))
    }
    const password = textField(req, 'password')
    const result = await attempt(() => services.accounts.delete(caller, password), BESIDE)
    if ('refusal' in result) return show(req, res, result.refusal)
    cookies.session.clear(res)
    res.redirect(303, '/?done=deleted')
  })

  return router
}
