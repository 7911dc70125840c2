/** /connect/:uid: a client's authorization request, and the user's decision. */

import { type Request, type RequestHandler, type Response, Router } from 'express'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import type { PendingConnection } from '../../../oauth/authorization-server.ts'
import { DEFAULT_SCOPES, isReading, type Scope } from '../../../services/access/scopes.ts'
import type { FormErrors } from '../../kit/form.ts'
import { attempt, brokenRules, chosenValues, type Refusal, textField } from '../../kit/forms.ts'
import { allowFormsToEndAt } from '../../kit/page-security.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toAmount, toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { chosenPurses, pursesOf } from '../teams/purses.ts'
import { consentPage, EXPIRY_DAYS } from './view.ts'

const DAY_MS = 86_400_000

const Days = z.enum(Object.keys(EXPIRY_DAYS), 'must be one of the choices')

export function connectRoutes(context: PageContext): Router {
  const { services, authorizationServer } = context
  const router = Router()

  const show = async (
    req: Request,
    res: Response,
    pending: PendingConnection,
    given: { values: Record<string, string>; chosen: readonly string[]; errors?: FormErrors },
    refusal?: Refusal,
  ) => {
    const { userId, username } = callerOf(req)
    const key = await services.accounts.keyStatus(userId)
    if (!key && !refusal && req.query.key !== 'later') {
      return res.redirect(303, `/account/key?return_to=${encodeURIComponent(req.path)}`)
    }
    const sessions = await services.sessions.list(callerOf(req))
    const existing = sessions.find(({ clientId }) => clientId === pending.client.id)
    const limit = existing?.limitNanoUsd ?? null
    allowFormsToEndAt(res, pending.redirectUri)
    const page = consentPage({
      csrfField: csrfField(req, res, context),
      path: req.path,
      client: pending.client,
      redirectUri: pending.redirectUri,
      asked: pending.scopes,
      chosen: pending.scopes.filter((scope) => given.chosen.includes(scope)),
      username,
      hasKey: key !== null,
      existing,
      purses: await pursesOf(services, callerOf(req)),
      form: {
        values: { limit: toAmount(limit), ...given.values },
        errors: refusal?.errors ?? {},
      },
    })
    sendPage(req, res, page, refusal)
  }

  const findPending = async (req: Request, res: Response) => {
    const pending = await authorizationServer.pending(req, res)
    if (pending.uid === req.params.uid) return pending
    throw new AppError('not_found', 'This request to connect has expired. Connect again.')
  }

  router.get('/connect/:uid', async (req, res) => {
    const pending = await findPending(req, res)
    await show(req, res, pending, { values: {}, chosen: preselected(pending.scopes) })
  })

  /** The form on the password page ends there, too. */
  const allowItsEnd: RequestHandler = async (req, res, next) => {
    const { redirectUri } = await findPending(req, res)
    allowFormsToEndAt(res, redirectUri)
    next()
  }

  router.post('/connect/:uid', allowItsEnd, ...takesProof(context), async (req, res) => {
    const pending = await findPending(req, res)
    if (textField(req, 'decision') !== 'approve') return authorizationServer.deny(req, res)
    const values = { days: textField(req, 'days'), limit: textField(req, 'limit').trim() }
    const chosen = chosenValues(req, 'permissions')
    const refuse = (refusal: Refusal) => show(req, res, pending, { values, chosen }, refusal)
    const scopes = pending.scopes.filter((scope) => chosen.includes(scope))
    const broken = brokenRules(
      { limit: UsdAmount, days: Days, permissions: AtLeastOne, confirmed: Ticked },
      { ...values, permissions: scopes, confirmed: isConfirmed(req, scopes) },
    )
    if (broken) return refuse(broken)
    const expiresAt = new Date(Date.now() + Number(values.days) * DAY_MS)
    const purses = chosenPurses(req, await pursesOf(services, callerOf(req)))
    const approval = { scopes, expiresAt, limitNanoUsd: toNanoUsd(values.limit), purses }
    const result = await attempt(() =>
      authorizationServer.approve(req, res, callerOf(req), approval),
    )
    if ('refusal' in result) await refuse(result.refusal)
  })

  return router
}

/**
 * What goes beyond the default set is ticked by the user only: with it a client can delete, give
 * away, or lock the user out, and the text that it reads may talk it into that.
 */
const preselected = (asked: readonly Scope[]) =>
  asked.filter((scope) => DEFAULT_SCOPES.includes(scope))

/**
 * One click, or two at one spot, grant no more than reading, which defeats a site that lures
 * visitors into clicking where this page is about to appear (double clickjacking). The box is never
 * checked in advance, not even after a refused form.
 */
const isConfirmed = (req: Request, scopes: readonly Scope[]) =>
  scopes.every(isReading) || textField(req, 'confirmed') === 'yes'

const Ticked = z.literal(
  true,
  'Tick the box above the buttons to let it do more than read, or deny.',
)

const AtLeastOne = z.array(z.string()).min(1, 'Choose at least one permission, or deny.')
