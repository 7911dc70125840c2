import { type RequestHandler, Router } from 'express'
import { requireAuditor } from '../../../services/access/installation-roles.ts'
import { INSTALLATION_CHAIN } from '../../../services/audit/audit-log.ts'
import { placeOf } from '../../kit/events.ts'
import { queryText } from '../../kit/forms.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, type PageContext } from '../../page-context.ts'
import { teamRoutes } from '../teams/team.ts'
import { adminWebhookRoutes } from '../webhooks/routes.ts'
import { auditPage } from './audit-view.ts'
import { adminRequestRoutes } from './requests.ts'
import { sharesCountPage } from './shares-view.ts'
import { allTeamsPage } from './teams-view.ts'
import { userBudgetRoutes } from './user-budget.ts'
import { userRoutes } from './users.ts'

const TEAMS_PER_PAGE = 100

/** /admin: for auditors and admins of the installation. None of it shows what people wrote. */
export function adminRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  router.use('/admin', onlyAuditors)
  router.get('/admin', (_req, res) => res.redirect(303, '/admin/users'))
  router.use(userRoutes(context))
  router.use(userBudgetRoutes(context))
  router.use(adminRequestRoutes(context))

  router.get('/admin/teams', async (req, res) => {
    const page = { after: queryText(req, 'after'), limit: TEAMS_PER_PAGE }
    sendPage(req, res, allTeamsPage(await services.teams.listAll(page)))
  })
  router.use(
    teamRoutes(context, {
      base: '/admin/teams',
      actorOf: (req) => services.teams.asAdmin(callerOf(req)),
      read: (req, id) => services.teams.readAny(callerOf(req), id),
      listEvents: (req, id, before) => services.teams.listEventsOfAny(callerOf(req), id, before),
      readMoney: (req, id) => services.teamBudgets.showAny(callerOf(req), id),
      readKey: (req, id) => services.teamKeys.statusOfAny(callerOf(req), id),
      listRequests: async (req, id) =>
        callerOf(req).isAdmin ? services.budgetRequests.listForAdmin(callerOf(req), id) : [],
    }),
  )

  router.get('/admin/shares', async (req, res) => {
    sendPage(req, res, sharesCountPage(await services.metrics.countShares(callerOf(req))))
  })

  router.use(adminWebhookRoutes(context))

  router.get('/admin/audit', async (req, res) => {
    const { audit } = services
    const events = await audit.reading.page(INSTALLATION_CHAIN, placeOf(req.query.before))
    sendPage(req, res, auditPage(events, await audit.checkpoints.list(SHOWN_CHECKPOINTS)))
  })

  return router
}

const SHOWN_CHECKPOINTS = 5

const onlyAuditors: RequestHandler = (req, _res, next) => {
  requireAuditor(callerOf(req))
  next()
}
