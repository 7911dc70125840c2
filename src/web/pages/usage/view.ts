import type { BudgetAlert } from '../../../services/billing/alerts/budget-alerts.ts'
import type { LimitSource } from '../../../services/billing/budgets.ts'
import type { Services } from '../../../services/index.ts'
import { type FormState, field, summary } from '../../kit/form.ts'
import { count, day, size, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { alertsCard } from './alerts-view.ts'
import type { Filter } from './filter.ts'
import { type Report, reportView } from './report-view.ts'

type Budget = Awaited<ReturnType<Services['budgetSettings']['show']>>[number]
type Period = Budget['period']
type Storage = Awaited<ReturnType<Services['storage']['use']>>

export const LIMIT_FIELDS = { day: 'daily_limit', month: 'monthly_limit' } as const

type UsagePage = {
  csrfField: Html
  notice: Html | undefined
  report: Report
  filter: Filter
  filterForm: FormState
  budgets: readonly Budget[]
  alerts: readonly BudgetAlert[]
  storage: Storage
  sources: Record<Period, LimitSource>
  form: FormState
}

export function usagePage({
  report,
  filter,
  filterForm,
  budgets,
  alerts,
  storage,
  ...given
}: UsagePage): Page {
  return {
    title: 'Usage',
    layout: '/account/usage',
    body: html`<div class="intro"><h1>Usage</h1>
<p class="soft">From ${filter.from} to ${filter.to}, days of UTC.</p></div>
${given.notice}${summary(given.form)}${summary(filterForm)}
${reportView({ report, filter, form: filterForm })}
<section class="card" aria-labelledby="budget"><h2 id="budget">Budget</h2>
${budgets.map(budgetRow)}
<p><a href="/account/requests">Ask for a higher limit</a></p>
</section>
${alertsCard(alerts)}
${ownLimits(given)}
<section class="card" aria-labelledby="storage"><h2 id="storage">Storage</h2>
${storageUsed(storage)}
</section>`,
  }
}

const ownLimits = ({
  csrfField,
  sources,
  form,
}: Pick<UsagePage, 'csrfField' | 'sources' | 'form'>) => html`
<section class="card" aria-labelledby="own"><h2 id="own">Your own limits</h2>
<p class="soft">They hold for everything together that is sent as you: all apps that you connected and all access tokens count in them. Days and months are those of UTC.</p>
<form method="post" action="/account/usage">${csrfField}
<div class="pair">
${limitField(LIMIT_FIELDS.day, 'Limit per day in USD', sources.day, form)}
${limitField(LIMIT_FIELDS.month, 'Limit per month in USD', sources.month, form)}
</div>
<p class="soft">Empty means no limit of your own.</p>
<button class="start">Save limits</button></form>
</section>`

const limitField = (
  name: string,
  label: string,
  { given, givenBy }: LimitSource,
  form: FormState,
) =>
  field(
    {
      name,
      label,
      isOptional: true,
      autocomplete: 'off',
      inputMode: 'decimal',
      maxLength: 20,
      ...(given.nanoUsd === null
        ? {}
        : { hint: `${GIVERS[givenBy]}: ${usd(given.nanoUsd)}. You can only go lower.` }),
    },
    form,
  )

const GIVERS = { admin: 'Set for you by an admin', default: 'This gateway’s limit for everybody' }

function storageUsed({ bytes, limitBytes }: Storage): Html {
  if (limitBytes === null) return html`<p>${size(bytes)} of messages are kept, without a limit</p>`
  const text = `${size(bytes)} of ${size(limitBytes)}`
  return html`<p>${text}</p><progress max="1" value="${Math.min(1, bytes / limitBytes)}" aria-label="Storage: ${text}"></progress>
<p class="hint">Your messages, Claude’s answers, titles and system prompts, as they are kept.</p>`
}

const PERIODS = { day: 'Today', month: 'This month' }

type Row = Omit<Budget, 'covers'> & Partial<Pick<Budget, 'covers'>>

/** One limit and how much of it is used. */
export function budgetRow({ period, covers, limit, spent, reserved, resetsAt }: Row): Html {
  const parts = [
    limit.nanoUsd !== null && {
      text: `${usd(spent.nanoUsd)} of ${usd(limit.nanoUsd)}`,
      share: Number(spent.nanoUsd) / Math.max(1, Number(limit.nanoUsd)),
    },
    limit.tokens !== null && {
      text: `${count(spent.tokens)} of ${count(limit.tokens)} tokens`,
      share: spent.tokens / Math.max(1, limit.tokens),
    },
  ].filter((part) => part !== false)
  return html`<div class="field"><p class="label">${PERIODS[period]}</p>
${parts.length === 0 && html`<p>${usd(spent.nanoUsd)} and ${count(spent.tokens)} tokens, without a limit</p>`}
${parts.map(({ text, share }) => html`<p>${text}</p><progress max="1" value="${Math.min(1, share)}" aria-label="${PERIODS[period]}: ${text}"></progress>`)}
<p class="hint">${covers === 'everything' && 'Counts what teams pay for you, too. '}${reserved.nanoUsd > 0n && `${usd(reserved.nanoUsd)} held for answers that are running. `}Resets ${day(resetsAt)}.</p></div>`
}
