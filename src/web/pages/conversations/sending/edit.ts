import { type Request, type Response, Router } from 'express'
import type { FormState } from '../../../kit/form.ts'
import { brokenRules, type Refusal, textField } from '../../../kit/forms.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../../page-context.ts'
import { pursesOf } from '../../teams/purses.ts'
import { conversationIdOf, idOf } from '../conversation-id.ts'
import { pathOf } from '../reading/address.ts'
import { showConversation } from '../reading/show.ts'
import { editPage } from './edit-view.ts'
import { PAYER_FIELD } from './payer.ts'
import { FORM_RULES, isConfirmed, send, typedText } from './send.ts'

/** Sends a message otherwise, or has Claude answer again. Both go on in a copy of what was before. */
export function editRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const showConversationAgain = showConversation(context)

  const show = async (req: Request, res: Response, form: FormState, refusal?: Refusal) => {
    const path = pathOf(conversationIdOf(req))
    const messageId = idOf(req.params.messageId)
    const caller = callerOf(req)
    const page = editPage({
      csrfField: csrfField(req, res, context),
      path,
      messageId,
      head: await services.conversationHeads.get(caller, conversationIdOf(req)),
      teams: await pursesOf(services, caller),
      form,
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/conversations/:id/edit/:messageId', async (req, res) => {
    const message = await readWhole(req, idOf(req.params.messageId))
    await show(req, res, { values: { message: message ?? '' }, errors: {} })
  })

  router.post('/account/conversations/:id/edit/:messageId', async (req, res) => {
    const message = typedText(req, 'message')
    const values = { message, [PAYER_FIELD]: textField(req, PAYER_FIELD) }
    const broken = brokenRules(FORM_RULES, values)
    const result = broken
      ? { refusal: broken }
      : await sendInstead(req, idOf(req.params.messageId), message)
    if ('done' in result) {
      return res.redirect(303, `${pathOf(result.done.conversationId)}#latest`)
    }
    const { refusal } = result
    await show(req, res, { values, errors: refusal.errors }, refusal)
  })

  router.post('/account/conversations/:id/again', async (req, res) => {
    const messageId = idOf(textField(req, 'message_id'))
    const message = await readWhole(req, messageId)
    if (message === undefined) return res.redirect(303, pathOf(conversationIdOf(req)))
    const result = await sendInstead(req, messageId, message)
    if ('done' in result) {
      return res.redirect(303, `${pathOf(result.done.conversationId)}#latest`)
    }
    const { refusal } = result
    await showConversationAgain(req, res, { form: { values: {}, errors: refusal.errors } }, refusal)
  })

  const sendInstead = (req: Request, editMessageId: string, message: string) =>
    send(services, req, {
      message,
      conversationId: conversationIdOf(req),
      editMessageId,
      confirmCost: isConfirmed(req),
    })

  /** Undefined when there is none, or when it does not fit into a result. */
  const readWhole = async (req: Request, messageId: string): Promise<string | undefined> => {
    const wanted = { from: { messageId, offset: 0 } }
    const page = await services.conversations.history(callerOf(req), conversationIdOf(req), wanted)
    const [message] = page.messages
    if (message?.role !== 'user' || message.nextOffset !== null) return undefined
    return message.content === '' ? undefined : message.content
  }

  return router
}
