import { type Request, type Response, Router } from 'express'
import { AnthropicApiKey } from '../../../services/access/field-rules.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { moneyPage } from './money-view.ts'
import { poolChanges, poolValues } from './pool-form.ts'
import { idOf } from './team-id.ts'

const BESIDE = { invalid_api_key: 'key' } as const

/** /account/teams/:id/money: the key that the team pays with, and what may be spent with it. */
export function moneyRoutes(context: PageContext): Router {
  const { services, limiters } = context
  const router = Router()

  const show = async (
    req: Request,
    res: Response,
    given: { values?: Record<string, string>; refusal?: Refusal } = {},
  ) => {
    const caller = callerOf(req)
    const { values = {}, refusal } = given
    const money = await services.teamBudgets.showAll(caller, idOf(req))
    const onlyOf = money.team.role === 'member' ? caller.userId : undefined
    const page = moneyPage({
      money,
      alerts: await services.budgetAlerts.listOfTeam(money.team.id, onlyOf),
      key: await services.teamKeys.status(caller, idOf(req)),
      csrfField: csrfField(req, res, context),
      notice: notice('/account/teams/:id/money', req.query.done),
      form: { values, errors: refusal?.errors ?? {} },
    })
    sendPage(req, res, page, refusal)
  }

  const done = (req: Request, res: Response, what: string) =>
    res.redirect(303, `/account/teams/${idOf(req)}/money?done=${what}`)

  router.get('/account/teams/:id/money', (req, res) => show(req, res))

  // Rate-limited like passwords: the form could be used to test stolen keys.
  router.post(
    '/account/teams/:id/money/key',
    ...takesProof(context),
    ...limiters.signIns,
    async (req, res) => {
      const apiKey = textField(req, 'key').trim()
      const broken = brokenRules({ key: AnthropicApiKey }, { key: apiKey })
      if (broken) return show(req, res, { refusal: broken })
      const store = () => services.teamKeys.replace(callerOf(req), idOf(req), apiKey)
      const result = await attempt(store, BESIDE)
      if ('refusal' in result) return show(req, res, { refusal: result.refusal })
      done(req, res, 'key-saved')
    },
  )

  router.post('/account/teams/:id/money/key/remove', async (req, res) => {
    const result = await attempt(() => services.teamKeys.remove(callerOf(req), idOf(req)))
    if ('refusal' in result) return show(req, res, { refusal: result.refusal })
    done(req, res, 'key-removed')
  })

  router.post('/account/teams/:id/money/pool', async (req, res) => {
    const values = poolValues(req)
    const { limits } = await services.teamBudgets.show(callerOf(req), idOf(req))
    const read = poolChanges(
      values,
      limits.filter(({ setBy }) => setBy === 'team'),
    )
    if ('refusal' in read) return show(req, res, { values, refusal: read.refusal })
    const store = async () => {
      for (const { period, limit } of read.changes) {
        await services.teamBudgets.setPool(callerOf(req), idOf(req), period, limit)
      }
    }
    const result = await attempt(store)
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  router.post('/account/teams/:id/money/cap', async (req, res) => {
    const values = {
      member: textField(req, 'member').trim(),
      period: textField(req, 'period'),
      cap: textField(req, 'cap').trim(),
    }
    const broken = brokenRules({ cap: UsdAmount }, values)
    if (broken) return show(req, res, { values, refusal: broken })
    const result = await attempt(() => storeCap(req, values), { not_found: 'member' })
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  /** Keeps a limit in tokens, which only tools set. */
  const storeCap = async (
    req: Request,
    values: { member: string; period: string; cap: string },
  ) => {
    const [caller, member] = [callerOf(req), values.member]
    const { caps, members } = await services.teamBudgets.showAll(caller, idOf(req))
    const period = values.period === 'day' ? 'day' : 'month'
    const isMeant = ({ username }: { username: string }) =>
      username.toLowerCase() === member.toLowerCase()
    const userId = member === '' ? null : members.find(isMeant)?.userId
    const before = caps.find((cap) => cap.period === period && cap.userId === userId)
    const [nanoUsd, tokens] = [toNanoUsd(values.cap), before?.tokens ?? null]
    const limit = nanoUsd === null && tokens === null ? null : { nanoUsd, tokens }
    await services.teamBudgets.setCap(caller, idOf(req), member || null, period, limit)
  }

  return router
}
