import { type Request, type Response, Router } from 'express'
import { AnthropicApiKey } from '../../../services/access/field-rules.ts'
import type { Services } from '../../../services/index.ts'
import type { TeamAdmin } from '../../../services/teams/team-authority.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { capOf, capValues } from './cap-form.ts'
import { moneyPage } from './money-view.ts'
import { poolChanges, poolValues } from './pool-form.ts'
import { idOf } from './team-id.ts'

const BESIDE = { invalid_api_key: 'key' } as const

/** Whose pages they are: a member's own, or those of an admin of the installation. */
export type MoneyPlace = {
  /** Address of the list of teams. */
  base: '/account/teams' | '/admin/teams'
  actorOf(req: Request): ReturnType<typeof callerOf> | TeamAdmin
  readMoney(req: Request, id: string): ReturnType<Services['teamBudgets']['showAll' | 'showAny']>
  readKey(req: Request, id: string): ReturnType<Services['teamKeys']['status']>
}

/** Below a team: the key that it pays with, and what may be spent with it. */
export function moneyRoutes(context: PageContext, place: MoneyPlace): Router {
  const { services, limiters } = context
  const { base, actorOf } = place
  const router = Router()
  const proof = takesProof(context)

  type Given = { values?: Record<string, string>; refusal?: Refusal }
  const show = async (req: Request, res: Response, { values = {}, refusal }: Given = {}) => {
    const money = await place.readMoney(req, idOf(req))
    const isPlainMember = base === '/account/teams' && money.team.role === 'member'
    const onlyOf = isPlainMember ? callerOf(req).userId : undefined
    const page = moneyPage({
      base,
      money,
      alerts: await services.budgetAlerts.listOfTeam(money.team.id, onlyOf),
      key: await place.readKey(req, idOf(req)),
      csrfField: csrfField(req, res, context),
      notice: notice('/account/teams/:id/money', req.query.done),
      form: { values, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  const done = (req: Request, res: Response, what: string) =>
    res.redirect(303, `${base}/${idOf(req)}/money?done=${what}`)

  router.get(`${base}/:id/money`, (req, res) => show(req, res))

  // Rate-limited like passwords: the form could be used to test stolen keys.
  router.post(`${base}/:id/money/key`, ...proof, ...limiters.signIns, async (req, res) => {
    const apiKey = textField(req, 'key').trim()
    const broken = brokenRules({ key: AnthropicApiKey }, { key: apiKey })
    if (broken) return show(req, res, { refusal: broken })
    const store = () => services.teamKeys.replace(actorOf(req), idOf(req), apiKey)
    const result = await attempt(store, BESIDE)
    if ('refusal' in result) return show(req, res, { refusal: result.refusal })
    done(req, res, 'key-saved')
  })

  router.post(`${base}/:id/money/key/remove`, ...proof, async (req, res) => {
    const result = await attempt(() => services.teamKeys.remove(actorOf(req), idOf(req)))
    if ('refusal' in result) return show(req, res, { refusal: result.refusal })
    done(req, res, 'key-removed')
  })

  router.post(`${base}/:id/money/pool`, ...proof, async (req, res) => {
    const values = poolValues(req)
    const { limits } = await place.readMoney(req, idOf(req))
    const setter = base === '/admin/teams' ? 'admin' : 'team'
    const read = poolChanges(
      values,
      limits.filter(({ setBy }) => setBy === setter),
    )
    if ('refusal' in read) return show(req, res, { values, refusal: read.refusal })
    const store = () => services.teamBudgets.setPool(actorOf(req), idOf(req), read.changes)
    const result = await attempt(store)
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  router.post(`${base}/:id/money/cap`, ...proof, async (req, res) => {
    const values = capValues(req)
    const read = capOf(values)
    if ('refusal' in read) return show(req, res, { values, refusal: read.refusal })
    const { member, period, change } = read.cap
    const store = () => services.teamBudgets.setCap(actorOf(req), idOf(req), member, period, change)
    const result = await attempt(store, { not_found: 'member' })
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  return router
}
