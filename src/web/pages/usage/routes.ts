import { type Request, type Response, Router } from 'express'
import { changedBy } from '../../../services/billing/books/limit.ts'
import type { LimitSource } from '../../../services/billing/budgets.ts'
import { usd } from '../../kit/format.ts'
import { brokenRules, type Refusal, refused, textField } from '../../kit/forms.ts'
import { notice } from '../../kit/notices.ts'
import { sendPage } from '../../kit/send-page.ts'
import { toAmount, toNanoUsd, UsdAmount } from '../../kit/usd-amount.ts'
import { callerOf, csrfField, type PageContext } from '../../page-context.ts'
import { filterOf } from './filter.ts'
import { ownReport, usageCsv } from './report.ts'
import { LIMIT_FIELDS, usagePage } from './view.ts'

const PERIODS = ['day', 'month'] as const
type Period = (typeof PERIODS)[number]
type Sources = Record<Period, LimitSource>
/** One limit field: its name, typed and previous values, and the limits behind it. */
type Entry = { period: Period; name: string; typed: string; before: string; source: LimitSource }

/** /account/usage: what was used and what it cost, and the user's own limits. */
export function usageRoutes(context: PageContext): Router {
  const { services } = context
  const router = Router()

  const show = async (
    req: Request,
    res: Response,
    sources: Sources,
    given?: { values: Record<string, string>; refusal: Refusal },
  ) => {
    const caller = callerOf(req)
    const { filter, form: filterForm, refusal } = filterOf(req)
    const [report, budgets, alerts, storage] = await Promise.all([
      ownReport(services, caller, filter),
      services.budgetSettings.show(caller, undefined),
      services.budgetAlerts.listOfUser(caller.userId),
      services.storage.use(caller.userId),
    ])
    const page = usagePage({
      csrfField: csrfField(req, res, context),
      notice: notice(req.path, req.query.done),
      report,
      filter,
      filterForm,
      budgets,
      alerts,
      storage,
      sources,
      form: {
        values: given?.values ?? ownAmounts(sources),
        errors: given?.refusal.errors ?? {},
      },
    })
    sendPage(req, res, page, given?.refusal ?? refusal)
  }

  router.get('/account/usage', async (req, res) => {
    await show(req, res, await services.budgetSettings.sources(callerOf(req)))
  })

  router.get('/account/usage/csv', usageCsv(context))

  router.post('/account/usage', async (req, res) => {
    const sources = await services.budgetSettings.sources(callerOf(req))
    const entries = entriesOf(req, sources)
    const values = Object.fromEntries(entries.map(({ name, typed }) => [name, typed]))
    // Unchanged values are not validated: tools may have set ones that this form would refuse.
    const changed = entries.filter(({ typed, before }) => typed !== before)
    const rules = Object.fromEntries(changed.map(({ name }) => [name, UsdAmount]))
    const refusal = brokenRules(rules, values) ?? raised(changed)
    if (refusal) return show(req, res, sources, { values, refusal })
    await services.budgetSettings.setOwn(callerOf(req), changed.map(limitOf))
    res.redirect(303, '/account/usage?done=limits-saved')
  })

  return router
}

/** Keeps the token limit, which only tools set. */
const limitOf = ({ period, typed, source }: Entry) => ({
  period,
  limit: changedBy(source.own ?? undefined, { nanoUsd: toNanoUsd(typed) }),
})

function entriesOf(req: Request, sources: Sources): Entry[] {
  const before = ownAmounts(sources)
  return PERIODS.map((period) => {
    const name = LIMIT_FIELDS[period]
    const typed = textField(req, name).trim()
    return { period, name, typed, before: before[name] ?? '', source: sources[period] }
  })
}

const ownAmounts = (sources: Sources): Record<string, string> =>
  Object.fromEntries(
    PERIODS.map((period) => [LIMIT_FIELDS[period], toAmount(sources[period].own?.nanoUsd ?? null)]),
  )

/** A limit above the given one would be stored without any effect, so it is refused. */
function raised(changed: readonly Entry[]): Refusal | undefined {
  const errors = changed.flatMap(({ name, typed, source }) => {
    const [wanted, most] = [toNanoUsd(typed), source.given.nanoUsd]
    if (wanted === null || most === null || wanted <= most) return []
    return [[name, `You are limited to ${usd(most)}. Yours can only be lower.`]]
  })
  return errors.length === 0 ? undefined : refused(Object.fromEntries(errors))
}
