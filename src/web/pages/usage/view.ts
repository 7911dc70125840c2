import type { LimitSource } from '../../../services/billing/budgets.ts'
import type { Services } from '../../../services/index.ts'
import { type FormState, field, summary } from '../../kit/form.ts'
import { count, day, size, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Report = Awaited<ReturnType<Services['usage']['report']>>
type Figures = Report['total']
type Budget = Awaited<ReturnType<Services['budgetSettings']['show']>>[number]
type Period = Budget['period']
type Storage = Awaited<ReturnType<Services['storage']['use']>>

export const LIMIT_FIELDS = { day: 'daily_limit', month: 'monthly_limit' } as const

type UsagePage = {
  csrfField: Html
  notice: Html | undefined
  report: Report
  budgets: readonly Budget[]
  storage: Storage
  sources: Record<Period, LimitSource>
  form: FormState
}

export function usagePage({ report, budgets, storage, ...given }: UsagePage): Page {
  const { rows, total } = report
  return {
    title: 'Usage',
    layout: '/account/usage',
    body: html`<div class="intro"><h1>This month’s usage</h1>
<p class="soft">Since the first of the month (UTC).</p></div>
${given.notice}${summary(given.form)}
<section class="card" aria-labelledby="cost"><h2 id="cost">Cost by model</h2>
${rows.length === 0 ? html`<p class="soft">Nothing yet this month.</p>` : table(rows, total)}
</section>
<section class="card" aria-labelledby="budget"><h2 id="budget">Budget</h2>
${budgets.map(budgetRow)}
</section>
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

const table = (rows: Report['rows'], total: Figures) => html`
<table class="stacks" role="table" aria-labelledby="cost">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Model</th>${Object.values(COLUMNS).map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map((row) => figures(row.key ?? '', row))}</tbody>
<tfoot role="rowgroup">${figures('Together', total)}</tfoot>
</table>
${total.estimatedCalls > 0 && html`<p class="soft">The tokens of ${count(total.estimatedCalls)} calls are estimated: they broke off before Anthropic counted.</p>`}
${total.unpricedCalls > 0 && html`<p class="soft">The price of ${count(total.unpricedCalls)} calls is not known, and not in the sum.</p>`}`

const COLUMNS = {
  cost: 'Cost',
  calls: 'Calls',
  input: 'Input tokens',
  output: 'Output tokens',
} as const

/** Narrow screens stack the labelled cells, whose semantics are lost without explicit roles. */
const figures = (name: string, { calls, inputTokens, outputTokens, costUsd }: Figures) =>
  html`<tr role="row"><th role="rowheader" scope="row">${name}</th>
${cell('cost', usd(BigInt(Math.round(costUsd * 1e9))))}${cell('calls', count(calls))}
${cell('input', count(inputTokens))}${cell('output', count(outputTokens))}</tr>`

const cell = (column: keyof typeof COLUMNS, value: string) =>
  html`<td role="cell" data-label="${COLUMNS[column]}">${value}</td>`

function storageUsed({ bytes, limitBytes }: Storage): Html {
  if (limitBytes === null) return html`<p>${size(bytes)} of messages are kept, without a limit</p>`
  const text = `${size(bytes)} of ${size(limitBytes)}`
  return html`<p>${text}</p><progress max="1" value="${Math.min(1, bytes / limitBytes)}" aria-label="Storage: ${text}"></progress>
<p class="hint">Your messages, Claude’s answers, titles and system prompts, as they are kept.</p>`
}

const PERIODS = { day: 'Today', month: 'This month' }

function budgetRow({ period, limit, spent, reserved, resetsAt }: Budget): Html {
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
<p class="hint">${reserved.nanoUsd > 0n && `${usd(reserved.nanoUsd)} held for answers that are running. `}Starts anew ${day(resetsAt)}.</p></div>`
}
