import { type Request, type Response, Router } from 'express'
import { attempt, type Refusal } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { decisionOf, typedDecision } from '../requests/decision-form.ts'
import { adminRequestsPage } from './requests-view.ts'

/** /admin/requests: users who ask for a higher limit of their own. */
export function adminRequestRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (req: Request, res: Response, refusal?: Refusal) => {
    const caller = callerOf(req)
    const requests = caller.isAdmin
      ? await services.budgetRequests.listForAdmin(caller, null)
      : null
    const page = adminRequestsPage({
      requests,
      csrfField: csrfField(req, res, context),
      notice: notice('/admin/requests', req.query.done),
      form: { values: refusal ? typedDecision(req) : {}, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/admin/requests', (req, res) => show(req, res))

  router.post('/admin/requests/:request', ...takesProof(context), async (req, res) => {
    const decide = async () => {
      const { id, decision } = decisionOf(req)
      await services.requestDecisions.decide(callerOf(req), id, decision)
    }
    const result = await attempt(decide)
    if ('refusal' in result) return show(req, res, result.refusal)
    res.redirect(303, '/admin/requests?done=decided')
  })

  return router
}
