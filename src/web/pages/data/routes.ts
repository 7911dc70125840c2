import { type Request, type Response, Router } from 'express'
import { exportFile, sendFile } from '../../../http/send-file.ts'
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

  const show = async (req: Request, res: Response, refusal?: Refusal) => {
    const { username, userId } = callerOf(req)
    const foreseen = await services.departure.foresee(userId)
    const values = { username: textField(req, 'username') }
    const form = refusal ? { values, errors: refusal.errors } : { values: {}, errors: {} }
    const page = dataPage({ csrfField: csrfField(req, res, context), username, form, foreseen })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/data', (req, res) => show(req, res))

  router.post('/account/export', ...takesProof(context), async (req, res) => {
    await sendFile(res, services.exports.stream(callerOf(req)), exportFile())
  })

  router.post('/account/delete', async (req, res) => {
    const caller = callerOf(req)
    if (textField(req, 'username').trim().toLowerCase() !== caller.username.toLowerCase()) {
      return show(req, res, refused({ username: 'This is not your username.' }))
    }
    const password = textField(req, 'password')
    const isWithdrawing = textField(req, 'withdraw') === 'yes'
    const work = () => services.accounts.delete(caller, password, { isWithdrawing })
    const result = await attempt(work, BESIDE)
    if ('refusal' in result) return show(req, res, result.refusal)
    cookies.session.clear(res)
    res.redirect(303, '/?done=deleted')
  })

  return router
}
