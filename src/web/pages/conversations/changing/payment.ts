import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../../errors.ts'
import type { Services } from '../../../../services/index.ts'
import { attempt, textField } from '../../../kit/forms.ts'
import { callerOf, type PageContext } from '../../../page-context.ts'
import { conversationIdOf } from '../conversation-id.ts'
import { pathOf } from '../reading/address.ts'
import { showConversation } from '../reading/show.ts'
import { UNCHANGED } from './payment-view.ts'

type Payment = NonNullable<Parameters<Services['conversationChanges']['change']>[2]['payment']>

const Team = z.union([z.uuid(), z.literal(''), z.literal(UNCHANGED)])
const Payers = z.enum(['any', 'team_only'])

/** Decides who pays in a conversation, and to which team it belongs. */
export function paymentRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()
  const show = showConversation(context)

  const change = async (req: Request, res: Response, payment: Payment) => {
    const id = conversationIdOf(req)
    const result = await attempt(() =>
      services.conversationChanges.change(callerOf(req), id, { payment }),
    )
    if ('done' in result) return res.redirect(303, `${pathOf(id)}?done=paid`)
    const { refusal } = result
    return show(req, res, { form: { values: {}, errors: refusal.errors } }, refusal)
  }

  router.post('/account/conversations/:id/payment', (req, res) => {
    const team = chosenIn(req, 'payer', Team)
    const payer = team === '' ? 'sender' : `team:${team}`
    const isTeamOnly = chosenIn(req, 'payers', Payers) === 'team_only'
    return change(req, res, team === UNCHANGED ? { isTeamOnly } : { payer, isTeamOnly })
  })

  router.post('/account/conversations/:id/team', (req, res) => {
    const team = chosenIn(req, 'team', Team)
    return change(req, res, team === UNCHANGED ? {} : { team: team === '' ? null : team })
  })

  return router
}

function chosenIn<T>(req: Request, name: string, rule: z.ZodType<T>): T {
  const chosen = rule.safeParse(textField(req, name))
  if (!chosen.success) throw new AppError('invalid_input', 'Choose one of what the form offers.')
  return chosen.data
}
