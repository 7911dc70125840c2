import { type Request, type Response, Router } from 'express'
import type { Caller } from '../../../services/access/caller.ts'
import { AnthropicApiKey } from '../../../services/access/field-rules.ts'
import { attempt, brokenRules, type Refusal, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { takesProof } from '../proof/routes.ts'
import { moneyPage, POOL_FIELDS } from './money-view.ts'
import { idOf } from './team-id.ts'

const BESIDE = { invalid_api_key: 'key' } as const
const PERIODS = ['day', 'month'] as const

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
    const typed = PERIODS.map((period) => textField(req, POOL_FIELDS[period]).trim())
    const values = Object.fromEntries(
      typed.map((text, i) => [POOL_FIELDS[PERIODS[i] ?? 'day'], text]),
    )
    const rules = { [POOL_FIELDS.day]: UsdAmount, [POOL_FIELDS.month]: UsdAmount }
    const broken = brokenRules(rules, values)
    if (broken) return show(req, res, { values, refusal: broken })
    const result = await attempt(() => storePool(callerOf(req), idOf(req), values))
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  router.post('/account/teams/:id/money/cap', async (req, res) => {
    const values = { member: textField(req, 'member').trim(), cap: textField(req, 'cap').trim() }
    const period = textField(req, 'period') === 'day' ? 'day' : 'month'
    const broken = brokenRules({ cap: UsdAmount }, values)
    if (broken) return show(req, res, { values, refusal: broken })
    const nanoUsd = toNanoUsd(values.cap)
    const limit = nanoUsd === null ? null : { nanoUsd, tokens: null }
    const work = () =>
      services.teamBudgets.setCap(callerOf(req), idOf(req), values.member || null, period, limit)
    const result = await attempt(work, { not_found: 'member' })
    if ('refusal' in result) return show(req, res, { values, refusal: result.refusal })
    done(req, res, 'saved')
  })

  /** Keeps the token limits, which only tools set, and what has not changed. */
  const storePool = async (caller: Caller, team: string, values: Record<string, string>) => {
    const { limits } = await services.teamBudgets.show(caller, team)
    for (const period of PERIODS) {
      const before = limits.find((limit) => limit.period === period && limit.setBy === 'team')
      const nanoUsd = toNanoUsd(values[POOL_FIELDS[period]] ?? '')
      const tokens = before?.tokens ?? null
      if (nanoUsd === (before?.nanoUsd ?? null)) continue
      const limit = nanoUsd === null && tokens === null ? null : { nanoUsd, tokens }
      await services.teamBudgets.setPool(caller, team, period, limit)
    }
  }

  return router
}
