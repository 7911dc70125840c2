import { Router } from 'express'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { overviewPage } from './view.ts'

/** /account: the overview. */
export function accountRoutes(context: PageContext): Router {
  const { services, origins } = context
  const router = Router()

  router.get('/account', async (req, res) => {
    const caller = callerOf(req)
    const [key, sessions, budgets, alerts, requests] = await Promise.all([
      services.accounts.keyStatus(caller.userId),
      services.sessions.list(caller),
      services.budgetSettings.show(caller, undefined),
      services.budgetAlerts.listOfUser(caller.userId),
      services.budgetRequests.listOwn(caller),
    ])
    const month = budgets.find(({ period }) => period === 'month')
    const page = overviewPage({
      username: caller.username,
      publicUrl: origins.askedBy(req),
      alerts,
      key,
      connections: sessions.filter(({ kind }) => kind === 'connection').length,
      tokens: sessions.filter(({ kind }) => kind === 'personal').length,
      spentNanoUsd: month?.spent.nanoUsd ?? 0n,
      limitNanoUsd: month?.limit.nanoUsd ?? null,
      requests,
      csrfField: csrfField(req, res, context),
    })
    sendPage(req, res, page)
  })

  return router
}
