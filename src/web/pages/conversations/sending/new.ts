import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { EMPTY_FORM, type FormState } from '../../../kit/form.ts'
import { brokenRules, type Refusal, textField } from '../../../kit/forms.ts'
import { sendPage } from '../../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../../page-context.ts'
import { pursesOf } from '../../teams/purses.ts'
import { newPage } from './new-view.ts'
import { PAYER_FIELD } from './payer.ts'
import { MESSAGE_RULES, send, typedText } from './send.ts'

/** /account/conversations/new: begins a conversation. */
export function newConversationRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  // A page that was open while the gateway was replaced may name a model of before.
  const models = ['', ...services.modelChoices.models.map(({ id }) => id)]
  const modelRule = z.enum(models, 'Choose one of the models that the form offers.')

  const show = async (req: Request, res: Response, form: FormState, refusal?: Refusal) => {
    const key = await services.accounts.keyStatus(callerOf(req).userId)
    const page = newPage({
      csrfField: csrfField(req, res, context),
      hasKey: key !== null,
      models: services.modelChoices,
      teams: await pursesOf(services, callerOf(req)),
      form,
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/conversations/new', (req, res) => show(req, res, EMPTY_FORM))

  router.post('/account/conversations/new', async (req, res) => {
    const values = {
      message: typedText(req, 'message'),
      system_prompt: typedText(req, 'system_prompt'),
      model: textField(req, 'model'),
      [PAYER_FIELD]: textField(req, PAYER_FIELD),
    }
    const { message, system_prompt: systemPrompt, model } = values
    const broken = brokenRules({ ...MESSAGE_RULES, model: modelRule }, values)
    const result = broken
      ? { refusal: broken }
      : await send(services, req, { message, systemPrompt, model: model || undefined })
    if ('refusal' in result) {
      return show(req, res, { values, errors: result.refusal.errors }, result.refusal)
    }
    res.redirect(303, `/account/conversations/${result.done.conversationId}#latest`)
  })

  return router
}
