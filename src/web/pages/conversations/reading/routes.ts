import { type Request, Router } from 'express'
import type { Caller } from '../../../../services/access/caller.ts'
import { conversationNotFound } from '../../../../services/conversations/conversation-errors.ts'
import { EMPTY_FORM } from '../../../kit/form.ts'
import { brokenRules, queryText, textField } from '../../../kit/forms.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { conversationIdOf, Id } from '../conversation-id.ts'
import { PAYER_FIELD } from '../sending/payer.ts'
import { FORM_RULES, isConfirmed, send, typedText } from '../sending/send.ts'
import { pathOf } from './address.ts'
import { showConversation } from './show.ts'

/** /account/conversations/:id: reads and continues one conversation. */
export function readingRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const show = showConversation(context)

  router.get('/account/conversations/:id', (req, res) =>
    show(req, res, {
      form: EMPTY_FORM,
      before: messageIn(req, 'before'),
      through: messageIn(req, 'through'),
    }),
  )

  router.post('/account/conversations/:id/messages', async (req, res) => {
    const message = typedText(req, 'message')
    const conversationId = conversationIdOf(req)
    const values = { message, [PAYER_FIELD]: textField(req, PAYER_FIELD) }
    const broken = brokenRules(FORM_RULES, values)
    const written = { message, conversationId, confirmCost: isConfirmed(req) }
    const result = broken ? { refusal: broken } : await send(services, req, written)
    if ('done' in result) {
      return res.redirect(303, `${pathOf(result.done.conversationId)}#latest`)
    }
    const { refusal } = result
    await show(req, res, { form: { values, errors: refusal.errors } }, refusal)
  })

  router.post('/account/conversations/:id/stop', async (req, res) => {
    const id = conversationIdOf(req)
    const isStopped = await stop(callerOf(req), id, textField(req, 'message_id'))
    res.redirect(303, `${pathOf(id)}${isStopped ? '?done=stopped' : ''}#latest`)
  })

  /**
   * Only the answer that the visitor saw: another one may have begun since.
   *
   * @returns false when it had ended.
   */
  const stop = async (caller: Caller, id: string, messageId: string): Promise<boolean> => {
    const { runningMessageId } = await services.conversationHeads.get(caller, id)
    if (runningMessageId === null || runningMessageId !== messageId) return false
    await services.answers.cancel(caller, messageId, new AbortController().signal)
    return true
  }

  return router
}

function messageIn(req: Request, name: 'before' | 'through'): string | undefined {
  const id = queryText(req, name)
  if (id === '') return undefined
  if (!Id.safeParse(id).success) throw conversationNotFound()
  return id
}
