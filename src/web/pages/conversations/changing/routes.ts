import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../../errors.ts'
import { isBlank } from '../../../../text/blank-text.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../../kit/forms.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { conversationIdOf, idOf } from '../conversation-id.ts'
import { pathOf } from '../reading/address.ts'
import { showConversation } from '../reading/show.ts'
import { paymentRoutes } from './payment.ts'
import { MOST_TITLE_CHARACTERS } from './view.ts'

const Title = z
  .string()
  .max(MOST_TITLE_CHARACTERS)
  .refine((text) => !isBlank(text), 'must not be blank')

/** Renames, archives, hides and copies one conversation, and decides who pays in it. */
export function changeRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const show = showConversation(context)

  const refuse = (req: Request, res: Response, refusal: Refusal, values = {}) =>
    show(req, res, { form: { values, errors: refusal.errors } }, refusal)

  router.post('/account/conversations/:id/title', async (req, res) => {
    const id = conversationIdOf(req)
    const title = textField(req, 'title').trim()
    const change = () => services.conversationChanges.change(callerOf(req), id, { title })
    const broken = brokenRules({ title: Title }, { title })
    const result = broken ? { refusal: broken } : await attempt(change)
    if ('refusal' in result) return refuse(req, res, result.refusal, { title })
    res.redirect(303, `${pathOf(id)}?done=renamed`)
  })

  router.post('/account/conversations/:id/archive', async (req, res) => {
    const id = conversationIdOf(req)
    const chosen = z.enum(['yes', 'no']).safeParse(textField(req, 'archived'))
    if (!chosen.success) throw new AppError('invalid_input', 'Choose whether to archive it.')
    const isArchived = chosen.data === 'yes'
    await services.conversationChanges.change(callerOf(req), id, { isArchived })
    res.redirect(303, `${pathOf(id)}?done=${isArchived ? 'archived' : 'unarchived'}`)
  })

  router.post('/account/conversations/:id/hide', async (req, res) => {
    const id = conversationIdOf(req)
    const chosen = z.enum(['yes', 'no']).safeParse(textField(req, 'hidden'))
    if (!chosen.success) throw new AppError('invalid_input', 'Choose whether to hide it.')
    const isHidden = chosen.data === 'yes'
    await services.conversationChanges.change(callerOf(req), id, { isHidden })
    res.redirect(303, `/account/shares?done=${isHidden ? 'hidden' : 'unhidden'}`)
  })

  router.use(paymentRoutes(context))

  /** Through the turn of a message, or whole. */
  router.post('/account/conversations/:id/branch', async (req, res) => {
    const id = conversationIdOf(req)
    const messageId = textField(req, 'message_id')
    const through = messageId === '' ? undefined : idOf(messageId)
    services.memory.refuseWhenShort()
    const result = await attempt(() => services.branching.branch(callerOf(req), id, through))
    if ('refusal' in result) return refuse(req, res, result.refusal)
    res.redirect(303, `${pathOf(result.done.conversationId)}?done=branched#latest`)
  })

  return router
}
