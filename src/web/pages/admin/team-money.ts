import { type Request, type Response, Router } from 'express'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { POOL_FIELDS } from '../teams/money-view.ts'
import { idOf } from '../teams/team-id.ts'
import { teamMoneyPage } from './team-money-view.ts'

const PERIODS = ['day', 'month'] as const

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
    const values = Object.fromEntries(
      PERIODS.map((period) => [POOL_FIELDS[period], textField(req, POOL_FIELDS[period]).trim()]),
    )
    const rules = { [POOL_FIELDS.day]: UsdAmount, [POOL_FIELDS.month]: UsdAmount }
    const broken = brokenRules(rules, values)
    if (broken) return show(req, res, { values, refusal: broken })
    const result = await attempt(() => store(req, values))
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    res.redirect(303, `/admin/teams/${idOf(req)}/money?done=saved`)
  })

  /** Keeps what has not changed, and limits in tokens, which only tools set. */
  const store = async (req: Request, values: Record<string, string>) => {
    const caller = callerOf(req)
    const { limits } = await services.teamBudgets.showAny(caller, idOf(req))
    for (const period of PERIODS) {
      const before = limits.find((limit) => limit.period === period && limit.setBy === 'admin')
      const nanoUsd = toNanoUsd(values[POOL_FIELDS[period]] ?? '')
      const tokens = before?.tokens ?? null
      if (nanoUsd === (before?.nanoUsd ?? null)) continue
      const limit = nanoUsd === null && tokens === null ? null : { nanoUsd, tokens }
      await services.teamBudgets.setPool(services.teams.asAdmin(caller), idOf(req), period, limit)
    }
  }

  return router
}
