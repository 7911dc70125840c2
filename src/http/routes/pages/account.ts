import { Router } from 'express'
import { notice } from '../../views/notices.ts'
import { overviewPage } from '../../views/overview.ts'
import { usagePage } from '../../views/usage.ts'
import { callerOf, type Desk } from './desk.ts'
import { sendPage } from './send-page.ts'

/** /account and /account/usage: what there is, to look at. */
export function accountRoutes({ services, publicUrl }: Desk): Router {
  const router = Router()

  router.get('/account', async (req, res) => {
    const caller = callerOf(req)
    const [key, sessions, budgets] = await Promise.all([
      services.accounts.keyStatus(caller.userId),
      services.sessions.list(caller),
      services.budgetSettings.show(caller, undefined),
    ])
    const month = budgets.find(({ period }) => period === 'month')
    const page = overviewPage({
      username: caller.username,
      publicUrl,
      notice: notice(req.query.done),
      key,
      connections: sessions.filter(({ kind }) => kind === 'connection').length,
      tokens: sessions.filter(({ kind }) => kind === 'personal').length,
      spentNanoUsd: month?.spent.nanoUsd ?? 0n,
      limitNanoUsd: month?.limit.nanoUsd ?? null,
    })
    sendPage(req, res, page)
  })

  router.get('/account/usage', async (req, res) => {
    const caller = callerOf(req)
    const from = `${new Date().toISOString().slice(0, 7)}-01`
    // An admin's report is about everybody; this page is about its reader.
    const reader = { ...caller, isAdmin: false }
    const [report, budgets] = await Promise.all([
      services.usage.report(reader, { from }, 'model'),
      services.budgetSettings.show(caller, undefined),
    ])
    sendPage(req, res, usagePage(report, budgets))
  })

  return router
}
