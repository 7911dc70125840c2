import { type Request, type Response, Router } from 'express'
import { z } from 'zod'
import { AllowedModels, TokenName } from '../../../services/access/field-rules.ts'
import { isScope, type Scope } from '../../../services/access/scopes.ts'
import { attempt, brokenRules, chosenValues, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { EXPIRY_DAYS } from '../connect/view.ts'
import { takesProof } from '../proof/routes.ts'
import { endSession } from '../sessions/routes.ts'
import { chosenPurses, pursesOf } from '../teams/purses.ts'
import { newTokenPage, tokensPage } from './view.ts'

const DAY_MS = 86_400_000
const CREATED = { status: 201 }

const RULES = {
  name: TokenName,
  days: z.enum(Object.keys(EXPIRY_DAYS), 'must be one of the choices'),
  limit: UsdAmount,
  models: AllowedModels,
  permissions: z.array(z.string()).min(1, 'Choose at least one permission.'),
}
const BESIDE = { invalid_input: 'name' } as const
/** Without `account`: a token that can change the account is only made on request. */
const USUAL: readonly Scope[] = ['conversations:read', 'messages:send', 'usage:read']

/** /account/tokens: personal access tokens. */
export function tokenRoutes(context: PageContext): Router {
  const { services, origins } = context
  const router = Router()

  const show = async (
    req: Request,
    res: Response,
    given: { values: Record<string, string>; chosen: readonly string[] },
    refusal?: Refusal,
  ) => {
    const sessions = await services.sessions.list(callerOf(req))
    const page = tokensPage({
      csrfField: csrfField(req, res, context),
      notice: notice(req.path, req.query.done),
      tokens: sessions.filter(({ kind }) => kind === 'personal'),
      chosen: given.chosen,
      purses: await pursesOf(services, callerOf(req)),
      form: { values: given.values, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  router.get('/account/tokens', (req, res) => show(req, res, { values: {}, chosen: USUAL }))

  router.post('/account/tokens', ...takesProof(context), async (req, res) => {
    const values = {
      name: textField(req, 'name').trim(),
      days: textField(req, 'days'),
      limit: textField(req, 'limit').trim(),
      models: textField(req, 'models').trim(),
    }
    const models = values.models.split(/[\s,]+/).filter((model) => model !== '')
    const scopes = chosenValues(req, 'permissions').filter(isScope)
    const refuse = (refusal: Refusal) => show(req, res, { values, chosen: scopes }, refusal)
    const broken = brokenRules(RULES, { ...values, models, permissions: scopes })
    if (broken) return refuse(broken)
    const expiresAt = new Date(Date.now() + Number(values.days) * DAY_MS)
    const limitNanoUsd = toNanoUsd(values.limit)
    const teams = await pursesOf(services, callerOf(req))
    const purses = chosenPurses(req, teams)
    const terms = { limitNanoUsd, allowedModels: models, purses }
    const wanted = { name: values.name, scopes, expiresAt, ...terms }
    const result = await attempt(
      () => services.personalTokens.create(callerOf(req), wanted),
      BESIDE,
    )
    if ('refusal' in result) return refuse(result.refusal)
    const payer = teams.find(({ id }) => id === purses[0])?.name
    const made = { token: result.done.token, name: values.name, scopes, payer }
    sendPage(req, res, newTokenPage(made, origins.askedBy(req)), CREATED)
  })

  router.post('/account/tokens/:id/end', async (req, res) => {
    await endSession(req, services)
    res.redirect(303, '/account/tokens?done=ended')
  })

  return router
}
