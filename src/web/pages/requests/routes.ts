import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import { attempt, brokenRules, queryText, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { uuidOf } from '../teams/team-id.ts'
import { requestsPage } from './view.ts'

const BESIDE = { not_found: 'team' } as const
const RULES = { amount: UsdAmount.and(z.string().min(1, 'is missing')) }

/** /account/requests: the visitor's open requests for a higher limit, and a form for another one. */
export function requestRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (req: Request, res: Response, form: FormState, refusal?: Refusal) => {
    const caller = callerOf(req)
    const teams = (await services.teams.list(caller)).filter((team) => team.archivedAt === null)
    const page = requestsPage({
      requests: await services.budgetRequests.listOwn(caller),
      teams: Object.fromEntries(teams.map(({ id, name }) => [id, name])),
      team: form.values.team ?? queryText(req, 'team'),
      csrfField: csrfField(req, res, context),
      notice: notice('/account/requests', req.query.done),
      form: { ...form, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/requests', (req, res) => show(req, res, EMPTY_FORM))

  router.post('/account/requests', async (req, res) => {
    const [team, amount] = [textField(req, 'team'), textField(req, 'amount').trim()]
    const reason = textField(req, 'reason').trim()
    const form = { values: { team, amount, reason }, errors: {} }
    const broken = brokenRules(RULES, { amount })
    if (broken) return show(req, res, form, broken)
    const wish = { ...(team !== '' && { team }), nanoUsd: toNanoUsd(amount) ?? 0n, reason }
    const ask = () => services.budgetRequests.ask(callerOf(req), wish)
    const result = await attempt(ask, BESIDE)
    if ('refusal' in result) return show(req, res, form, result.refusal)
    res.redirect(303, '/account/requests?done=asked')
  })

  router.post('/account/requests/:id/withdraw', async (req, res) => {
    const id = uuidOf(req.params.id, 'There is no such request.')
    await services.budgetRequests.withdraw(callerOf(req), id)
    res.redirect(303, '/account/requests?done=taken-back')
  })

  return router
}
