import { type Request, type Response, Router } from 'express'
import { changedBy } from '../../../services/billing/books/limit.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { userBudgetPage } from './user-budget-view.ts'

/** /admin/users/:name/budget: what limits a user, and an admin's limit of theirs. */
export function userBudgetRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const path = '/admin/users/:name/budget'

  type Given = { values: Record<string, string>; refusal: Refusal }
  const show = async (req: Request, res: Response, given?: Given) => {
    const caller = callerOf(req)
    const { username } = await services.userAdministration.get(nameOf(req))
    const page = userBudgetPage({
      username,
      budgets: await services.budgetSettings.showForUser(username),
      sources: await services.budgetSettings.sourcesOf(caller, username),
      isAdmin: caller.isAdmin,
      csrfField: csrfField(req, res, context),
      notice: notice(path, req.query.done),
      form: { values: given?.values ?? {}, errors: given?.refusal.errors ?? {} },
    })
    sendPage(req, res, page, given?.refusal)
  }

  router.get(path, (req, res) => show(req, res))

  router.post(path, ...takesProof(context), async (req, res) => {
    const values = {
      amount: textField(req, 'amount').trim(),
      period: textField(req, 'period'),
      covers: textField(req, 'covers'),
    }
    const broken = brokenRules({ amount: UsdAmount }, values)
    if (broken) return show(req, res, { values, refusal: broken })
    const result = await attempt(() => store(req, toNanoUsd(values.amount)))
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    res.redirect(303, `/admin/users/${encodeURIComponent(nameOf(req))}/budget?done=saved`)
  })

  /** Keeps a limit in tokens, which only tools and the command set. */
  const store = async (req: Request, nanoUsd: bigint | null) => {
    const caller = callerOf(req)
    const period = textField(req, 'period') === 'day' ? 'day' : 'month'
    const covers = textField(req, 'covers') === 'everything' ? 'everything' : 'own_key'
    const { given, givenBy } = (await services.budgetSettings.sourcesOf(caller, nameOf(req)))[
      period
    ]
    const limit = changedBy(givenBy === 'admin' ? given : undefined, { nanoUsd })
    await services.budgetSettings.set(caller, nameOf(req), period, limit, covers)
  }

  return router
}

const nameOf = (req: Request): string => String(req.params.name)
