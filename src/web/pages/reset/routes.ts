import { type Request, type Response, Router } from 'express'
import { networkOf } from '../../../http/rate-limit/network.ts'
import { ChosenPassword } from '../../../services/access/field-rules.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { sendPage } from '../../kit/send-page.ts'
import { csrfField, type PageContext } from '../../page-context.ts'
import { resetPage, unusableLinkPage } from './view.ts'

const LINK = /^reset_[\w-]{43}$/
const BESIDE = { invalid_input: 'password' } as const

/** /reset: where a user chooses a new password, by a link that an admin made. */
export function resetRoutes(context: PageContext): Router {
  const { services, limiters } = context
  const router = Router()

  const show = async (req: Request, res: Response, link: string, refusal?: Refusal) => {
    const found = await services.passwordLinks.look(link)
    if (found === undefined) return sendPage(req, res, unusableLinkPage, { status: 404 })
    const page = resetPage({
      ...found,
      link,
      csrfField: csrfField(req, res, context),
      form: { values: {}, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/reset', (req, res) => show(req, res, linkOf(req.query.link)))

  router.post('/reset', ...limiters.signIns, async (req, res) => {
    const [link, password] = [linkOf(textField(req, 'link')), textField(req, 'password')]
    const broken = brokenRules({ password: ChosenPassword }, { password })
    if (broken) return show(req, res, link, broken)
    const used = () => services.passwordLinks.use(link, password, networkOf(req))
    const result = await attempt(used, BESIDE)
    if ('refusal' in result) return show(req, res, link, result.refusal)
    res.redirect(303, '/sign-in?done=password-chosen')
  })

  return router
}

const linkOf = (value: unknown): string =>
  typeof value === 'string' && LINK.test(value) ? value : ''
