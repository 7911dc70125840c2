import { type Request, type Response, Router } from 'express'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import { attempt, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { teamWebhookRoutes } from '../webhooks/routes.ts'
import { teamConversationRoutes } from './conversations.ts'
import { teamRoutes } from './team.ts'
import { teamsPage } from './view.ts'

const BESIDE = { invalid_input: 'name' } as const

/** /account/teams: the visitor's teams, and one to be made; below it each team. */
export function teamsRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (req: Request, res: Response, form: FormState, refusal?: Refusal) => {
    const page = teamsPage({
      csrfField: csrfField(req, res, context),
      notice: notice('/account/teams', req.query.done),
      teams: await services.teams.list(callerOf(req)),
      form,
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/teams', (req, res) => show(req, res, EMPTY_FORM))

  router.post('/account/teams', async (req, res) => {
    const name = textField(req, 'name').trim()
    const result = await attempt(() => services.teams.create(callerOf(req), name), BESIDE)
    if ('refusal' in result) {
      const { refusal } = result
      return show(req, res, { values: { name }, errors: refusal.errors }, refusal)
    }
    res.redirect(303, `/account/teams/${result.done.id}`)
  })

  router.use(teamConversationRoutes(context))
  router.use(
    teamRoutes(context, {
      base: '/account/teams',
      actorOf: callerOf,
      read: (req, id) => services.teams.read(callerOf(req), id),
      listEvents: (req, id, before) => services.teams.listEvents(callerOf(req), id, before),
      readMoney: (req, id) => services.teamBudgets.showAll(callerOf(req), id),
      readKey: (req, id) => services.teamKeys.status(callerOf(req), id),
      listRequests: (req, id) => services.budgetRequests.listOfTeam(callerOf(req), id),
    }),
  )
  if (services.webhooks.isForTeams) router.use(teamWebhookRoutes(context))
  return router
}
