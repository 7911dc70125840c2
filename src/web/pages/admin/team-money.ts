import { type Request, type Response, Router } from 'express'
import { attempt, type Refusal } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { poolChanges, poolValues } from '../teams/pool-form.ts'
import { idOf } from '../teams/team-id.ts'
import { teamMoneyPage } from './team-money-view.ts'

/** /admin/teams/:id/money: what a team spends, and the installation's limit of it. */
export function teamMoneyRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const path = '/admin/teams/:id/money'

  type Given = { values: Record<string, string>; refusal: Refusal }
  const show = async (req: Request, res: Response, given?: Given) => {
    const caller = callerOf(req)
    const page = teamMoneyPage({
      money: await services.teamBudgets.showAny(caller, idOf(req)),
      isAdmin: caller.isAdmin,
      csrfField: csrfField(req, res, context),
      notice: notice(path, req.query.done),
      form: { values: given?.values ?? {}, errors: given?.refusal.errors ?? {} },
    })
    sendPage(req, res, page, given?.refusal)
  }

  router.get(path, (req, res) => show(req, res))

  router.post(path, ...takesProof(context), async (req, res) => {
    const [caller, values] = [callerOf(req), poolValues(req)]
    const { limits } = await services.teamBudgets.showAny(caller, idOf(req))
    const read = poolChanges(
      values,
      limits.filter(({ setBy }) => setBy === 'admin'),
    )
    if ('refusal' in read) return show(req, res, { values, refusal: read.refusal })
    const store = async () => {
      const admin = services.teams.asAdmin(caller)
      for (const { period, limit } of read.changes) {
        await services.teamBudgets.setPool(admin, idOf(req), period, limit)
      }
    }
    const result = await attempt(store)
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    res.redirect(303, `/admin/teams/${idOf(req)}/money?done=saved`)
  })

  return router
}
