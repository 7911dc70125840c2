import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import type { ShownWebhook, WebhookOwner } from '../../../services/webhooks/webhooks.ts'
import type { FormState } from '../../kit/form.ts'
import { attempt, chosenValues, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { idOf } from '../teams/team-id.ts'
import { type NewSecret, type ShownOwner, webhooksPage } from './view.ts'

/** Whose page it is. */
type Place = {
  /** As its routes say it. */
  path: '/admin/webhooks' | '/account/teams/:id/webhooks'
  addressOf(req: Request): string
  ownerOf(req: Request): WebhookOwner
  read(req: Request): Promise<{ owner: ShownOwner; webhooks: readonly ShownWebhook[] }>
}

type Shown = { values?: FormState['values']; chosen?: readonly string[]; secret?: NewSecret }

const ADMIN_PAGE = '/admin/webhooks'

/** /admin/webhooks: which programs elsewhere are told what happens in the installation. */
export const adminWebhookRoutes = (context: PageContext): Router =>
  webhookRoutes(context, {
    path: ADMIN_PAGE,
    addressOf: () => ADMIN_PAGE,
    ownerOf: (req) => ({ of: 'installation', actor: callerOf(req) }),
    async read(req) {
      const caller = callerOf(req)
      const webhooks = await context.services.webhooks.list(caller)
      return { owner: { teamName: null, mayAct: caller.isAdmin }, webhooks }
    },
  })

/** The same for what happens in a team, for its owners. */
export const teamWebhookRoutes = (context: PageContext): Router =>
  webhookRoutes(context, {
    path: '/account/teams/:id/webhooks',
    addressOf: (req) => `/account/teams/${idOf(req)}/webhooks`,
    ownerOf: (req) => ({ of: 'team', actor: callerOf(req), team: idOf(req) }),
    async read(req) {
      const { webhooks: service } = context.services
      const { team, webhooks } = await service.listOfTeam(callerOf(req), idOf(req))
      return { owner: { teamName: team.name, mayAct: team.archivedAt === null }, webhooks }
    },
  })

function webhookRoutes(context: PageContext, place: Place): Router {
  const { webhooks } = context.services
  const { path, addressOf, ownerOf } = place
  const router = Router()
  const proof = takesProof(context)

  const show = async (req: Request, res: Response, shown: Shown = {}, refusal?: Refusal) => {
    const { owner, webhooks: rows } = await place.read(req)
    const page = webhooksPage({
      owner,
      address: addressOf(req),
      webhooks: await Promise.all(
        rows.map(async (row) => ({ ...row, deliveries: await webhooks.deliveries(row) })),
      ),
      events: webhooks.eventsOf(ownerOf(req)),
      chosen: shown.chosen ?? [],
      secret: shown.secret,
      csrfField: csrfField(req, res, context),
      notice: notice(path, req.query.done),
      form: { values: shown.values ?? {}, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get(path, (req, res) => show(req, res))

  router.post(path, ...proof, async (req, res) => {
    const [url, chosen] = [textField(req, 'url').trim(), chosenValues(req, 'events')]
    const work = () => webhooks.create(ownerOf(req), { url, events: chosen })
    const result = await attempt(work)
    if ('refusal' in result) {
      return show(req, res, { values: { url }, chosen }, besideField(result.refusal))
    }
    await show(req, res, { secret: { ...result.done, isReplacing: false } })
  })

  router.post(`${path}/:webhook/rotate`, ...proof, async (req, res) => {
    const result = await attempt(() => webhooks.rotate(ownerOf(req), webhookOf(req)))
    if ('refusal' in result) return show(req, res, {}, result.refusal)
    await show(req, res, { secret: { ...result.done, isReplacing: true } })
  })

  for (const act of ['test', 'disable', 'enable', 'delete'] as const) {
    router.post(`${path}/:webhook/${act}`, ...proof, async (req, res) => {
      const result = await attempt(() => webhooks[act](ownerOf(req), webhookOf(req)))
      if ('refusal' in result) return show(req, res, {}, result.refusal)
      res.redirect(303, `${addressOf(req)}?done=${DONE[act]}`)
    })
  }

  return router
}

const DONE = { test: 'tested', disable: 'disabled', enable: 'enabled', delete: 'deleted' }

function webhookOf(req: Request): string {
  const id = z.uuid().safeParse(req.params.webhook)
  if (!id.success) throw new AppError('not_found', 'There is no such webhook.')
  return id.data
}

/** The message begins with the name of the field that it is about. */
function besideField({ errors, ...refusal }: Refusal): Refusal {
  const { '': whole = '', ...others } = errors
  const name = /^The (url|events) /.exec(whole)?.[1]
  return { ...refusal, errors: name === undefined ? errors : { ...others, [name]: whole } }
}
