import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import type { Services } from '../../../services/index.ts'
import { placeOf } from '../../kit/events.ts'
import { EMPTY_FORM, type FormErrors, type FormState } from '../../kit/form.ts'
import { attempt, type Refusal, refused, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { decisionOf, typedDecision } from '../requests/decision-form.ts'
import { DEFAULT_PAYMENTS } from './default-payment.ts'
import { type MoneyPlace, moneyRoutes } from './money.ts'
import { idOf, uuidOf } from './team-id.ts'
import { ON_DEPARTURE, SHARES_FROM, teamEventsPage, teamPage } from './team-view.ts'

const BOUND_TO = ['anybody', 'username', 'email'] as const
const Role = z.enum(['owner', 'admin', 'member'])

type Shown = { form?: FormState; errors?: FormErrors; url?: string }

/** Whose pages they are: a member's own, or those of an admin of the installation. */
export type TeamPlace = MoneyPlace & {
  read(req: Request, id: string): ReturnType<Services['teams']['read']>
  listEvents(
    req: Request,
    id: string,
    before: string | null,
  ): ReturnType<Services['teams']['listEvents' | 'listEventsOfAny']>
  /** Open ones, of all members or the visitor's own. */
  listRequests(req: Request, id: string): ReturnType<Services['budgetRequests']['listOfTeam']>
}

/** Below the list of teams: who is in a team, who is invited, and what was done. */
export function teamRoutes(context: PageContext, place: TeamPlace): Router {
  const { services } = context
  const { base, actorOf } = place
  const router = Router()
  const proof = takesProof(context)

  const show = async (req: Request, res: Response, shown: Shown = {}, refusal?: Refusal) => {
    const page = teamPage({
      ...(await place.read(req, idOf(req))),
      requests: await place.listRequests(req, idOf(req)),
      base,
      hasWebhooks: services.webhooks.isForTeams,
      username: callerOf(req).username,
      csrfField: csrfField(req, res, context),
      notice: notice('/account/teams/:id', req.query.done),
      form: { values: shown.form?.values ?? {}, errors: refusal?.errors ?? {} },
      invitationUrl: shown.url,
    })
    sendPage(req, res, page, refusal)
  }

  /** Runs the action of a form, and shows the page again. */
  const act = async (
    req: Request,
    res: Response,
    work: () => Promise<unknown>,
    { done = 'saved', beside = '', values = {} } = {},
  ) => {
    const result = await attempt(work, { invalid_input: beside })
    if ('refusal' in result) {
      return show(req, res, { form: { ...EMPTY_FORM, values } }, result.refusal)
    }
    res.redirect(303, `${base}/${idOf(req)}?done=${done}`)
  }

  router.get(`${base}/:id`, (req, res) => show(req, res))

  router.get(`${base}/:id/audit`, async (req, res) => {
    const before = placeOf(req.query.before)
    const read = await place.listEvents(req, idOf(req), before)
    sendPage(req, res, teamEventsPage(read, base))
  })

  router.post(`${base}/:id/invite`, ...proof, async (req, res) => {
    const values = {
      role: roleOf(req),
      days: textField(req, 'days') || '3',
      bound: boundOf(req),
      who: textField(req, 'who').trim(),
    }
    const refuse = (refusal: Refusal) =>
      show(req, res, { form: { ...EMPTY_FORM, values } }, refusal)
    const { role, days, bound, who } = values
    if (bound === 'anybody' && who !== '') return refuse(refused({ who: ONE_PERSON }))
    const invite = {
      role,
      ...(bound === 'anybody' ? {} : { [bound]: who }),
      expiresInDays: Number(days),
    }
    const work = () => services.invitations.create(actorOf(req), idOf(req), invite)
    const result = await attempt(work, { invalid_input: 'who' })
    if ('refusal' in result) return refuse(result.refusal)
    await show(req, res, { url: result.done.url })
  })

  router.post(`${base}/:id/invitations/:invitation/end`, ...proof, (req, res) => {
    const { invitation } = req.params
    const id = uuidOf(invitation, 'There is no such invitation. It may have ended.')
    return act(req, res, () => services.invitations.revoke(actorOf(req), idOf(req), id), {
      done: 'taken-back',
    })
  })

  router.post(`${base}/:id/requests/:request`, ...proof, (req, res) => {
    const work = async () => {
      const { id, decision } = decisionOf(req)
      await services.requestDecisions.decideInTeam(actorOf(req), idOf(req), id, decision)
    }
    return act(req, res, work, { done: 'decided', values: typedDecision(req) })
  })

  router.post(`${base}/:id/role`, ...proof, (req, res) => {
    const [username, role] = [textField(req, 'username'), roleOf(req)]
    return act(req, res, () =>
      services.teamMembers.setRole(actorOf(req), idOf(req), username, role),
    )
  })

  router.post(`${base}/:id/remove`, ...proof, (req, res) => {
    const username = textField(req, 'username')
    const work = () => services.teamMembers.remove(actorOf(req), idOf(req), username)
    return act(req, res, work, { done: 'removed' })
  })

  router.post(`${base}/:id/leave`, ...proof, async (req, res) => {
    const caller = callerOf(req)
    const work = () => services.teamMembers.remove(caller, idOf(req), caller.username)
    const result = await attempt(work)
    if ('refusal' in result) return show(req, res, {}, result.refusal)
    res.redirect(303, '/account/teams?done=left')
  })

  router.post(`${base}/:id/name`, ...proof, (req, res) => {
    const name = textField(req, 'name').trim()
    const work = () => services.teams.rename(actorOf(req), idOf(req), name)
    return act(req, res, work, { beside: 'name', values: { name } })
  })

  router.post(`${base}/:id/shares-from`, ...proof, (req, res) => {
    const chosen = z.enum(SHARES_FROM).safeParse(textField(req, 'shares_from'))
    if (!chosen.success) throw new AppError('invalid_input', 'Choose one of the three.')
    const settings = { sharesFrom: chosen.data }
    return act(req, res, () => services.teams.change(actorOf(req), idOf(req), settings))
  })

  router.post(`${base}/:id/on-departure`, ...proof, (req, res) => {
    const chosen = z.enum(ON_DEPARTURE).safeParse(textField(req, 'on_departure'))
    if (!chosen.success) throw new AppError('invalid_input', 'Choose one of the two.')
    const settings = { onDeparture: chosen.data }
    return act(req, res, () => services.teams.change(actorOf(req), idOf(req), settings))
  })

  router.post(`${base}/:id/payment`, ...proof, (req, res) => {
    const payment = DEFAULT_PAYMENTS.get(textField(req, 'payment'))
    if (payment === undefined) throw new AppError('invalid_input', 'Choose one of the three.')
    return act(req, res, () => services.teams.setPayment(actorOf(req), idOf(req), payment))
  })

  router.post(`${base}/:id/archive`, ...proof, (req, res) =>
    act(req, res, () => services.teams.archive(actorOf(req), idOf(req)), { done: 'archived' }),
  )

  router.use(moneyRoutes(context, place))
  return router
}

/** Without it a link that was meant for one person would be for all who have it. */
const ONE_PERSON = 'Choose whether this is a username or an address, or leave it empty.'

function boundOf(req: Request) {
  const bound = BOUND_TO.find((kind) => kind === textField(req, 'bound'))
  if (bound === undefined) throw new AppError('invalid_input', 'Choose whom the link is for.')
  return bound
}

function roleOf(req: Request) {
  const role = Role.safeParse(textField(req, 'role'))
  if (!role.success) throw new AppError('invalid_input', 'Choose one of the roles.')
  return role.data
}
