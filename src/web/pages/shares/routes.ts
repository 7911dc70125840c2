import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import { MAX_SHARE_DAYS } from '../../../services/conversations/sharing/sharing.ts'
import { EMPTY_FORM, type FormState } from '../../kit/form.ts'
import {
  attempt,
  brokenRules,
  messageOnPages,
  queryText,
  type Refusal,
  refused,
  textField,
} from '../../kit/forms.ts'
import type { Html } from '../../kit/html.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { optionalDays } from './days.ts'
import { ofTeam, teamsOf } from './teams.ts'
import { replacedNotice, SHARES_FROM, sharesPage } from './view.ts'

const NO_NAME = 'Enter a username or an email address.'

const RULES = {
  with: z.string().trim().min(1, NO_NAME).max(254, NO_NAME),
  role: z.enum(['viewer', 'contributor']),
  days: optionalDays(MAX_SHARE_DAYS),
}
const BESIDE = {
  invalid_input: 'with',
  rate_limited: 'with',
  share_refused: '',
} as const
const TRANSFER_BESIDE = { share_refused: '', conversation_busy: '' } as const

type Shown = { conversationId: string | null; form?: FormState; notice?: Html }

/** /account/shares: what the visitor shares and is offered, and who may offer them something. */
export function shareRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (
    req: Request,
    res: Response,
    { conversationId, form = EMPTY_FORM, ...shown }: Shown,
    refusal?: Refusal,
  ) => {
    const caller = callerOf(req)
    const { given, received } = await services.sharing.list(caller, conversationId)
    const page = sharesPage({
      csrfField: csrfField(req, res, context),
      notice: shown.notice ?? notice('/account/shares', req.query.done),
      given,
      received,
      linksMode: services.links.mode,
      sharesFrom: await services.sharing.sharesFrom(caller),
      teams: await teamsOf(services, caller),
      conversation:
        conversationId === null
          ? null
          : await services.conversationHeads.get(caller, conversationId),
      form: { ...form, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/shares', async (req, res) => {
    const asked = queryText(req, 'conversation')
    await show(req, res, { conversationId: asked === '' ? null : idOf(asked) })
  })

  router.post('/account/shares', async (req, res) => {
    const conversationId = idOf(textField(req, 'conversation'))
    const values = {
      with: textField(req, 'with').trim(),
      role: textField(req, 'role'),
      days: textField(req, 'days').trim(),
      team: textField(req, 'team'),
    }
    const refuse = (refusal: Refusal) =>
      show(req, res, { conversationId, form: { values, errors: {} } }, refusal)
    const { with: _with, ...rulesOfTeam } = RULES
    const broken = brokenRules(values.team === '' ? RULES : rulesOfTeam, values)
    if (broken) return refuse(broken)
    await services.conversationHeads.get(callerOf(req), conversationId)
    const result = await attempt(
      () =>
        services.sharing.share(callerOf(req), {
          conversationId,
          with: recipientOf(values),
          role: values.role === 'contributor' ? 'contributor' : 'viewer',
          expiresInDays: values.days === '' ? undefined : Number(values.days),
        }),
      BESIDE,
    ).catch((error) => (values.team === '' ? asRefusal(error) : ofTeam(error, 'team')))
    if ('refusal' in result) return refuse(result.refusal)
    const { replaced } = result.done
    if (replaced) {
      return show(req, res, { conversationId, notice: replacedNotice(replaced, result.done) })
    }
    res.redirect(303, `/account/shares?conversation=${conversationId}&done=shared`)
  })

  router.post('/account/shares/from', async (req, res) => {
    const chosen = z.enum(SHARES_FROM).safeParse(textField(req, 'shares_from'))
    if (!chosen.success) throw new AppError('invalid_input', 'Choose one of the three.')
    await services.sharing.setSharesFrom(callerOf(req), chosen.data)
    res.redirect(303, '/account/shares?done=saved')
  })

  router.post('/account/shares/:id/accept', async (req, res) => {
    const { conversationId } = await services.sharing.accept(callerOf(req), idOf(req.params.id))
    res.redirect(303, `/account/conversations/${conversationId}`)
  })

  router.post('/account/shares/:id/transfer', async (req, res) => {
    const shareId = idOf(req.params.id)
    const result = await attempt(
      () => services.transfers.transfer(callerOf(req), shareId),
      TRANSFER_BESIDE,
    )
    if ('refusal' in result) return show(req, res, { conversationId: null }, result.refusal)
    res.redirect(303, '/account/shares?done=transferred')
  })

  router.post('/account/shares/:id/end', async (req, res) => {
    await services.sharing.end(callerOf(req), idOf(req.params.id))
    res.redirect(303, '/account/shares?done=ended')
  })

  return router
}

const recipientOf = ({ with: name, team }: { with: string; team: string }) => {
  if (team !== '') return { team }
  return name === 'everybody' ? ('everybody' as const) : { username: name }
}

/** A name without an account is a mistake in the form, not a missing page. */
function asRefusal(error: unknown): { refusal: Refusal } {
  if (!(error instanceof AppError) || error.details?.field !== 'with') throw error
  return { refusal: refused({ with: messageOnPages(error) }) }
}

function idOf(text: string | undefined): string {
  const id = z.uuid().safeParse(text)
  if (!id.success) throw new AppError('not_found', 'There is no such share. It may have ended.')
  return id.data
}
