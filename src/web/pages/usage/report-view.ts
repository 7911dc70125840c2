import { sessionShares } from '../../../services/billing/usage.ts'
import type { Services } from '../../../services/index.ts'
import { visibleName } from '../../../text/visible-name.ts'
import { columnChart, rowBar } from '../../kit/charts.ts'
import { type FormState, field, select } from '../../kit/form.ts'
import { count, minute, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import { addressOf, daysOf, type Filter, GROUPS } from './filter.ts'

export type Report = Awaited<ReturnType<Services['usage']['report']>>
type Row = Report['rows'][number]
type Figures = Report['total']

type ReportView = { report: Report; filter: Filter; form: FormState }

/** The filter, the chart, and the same figures as a table. */
export const reportView = ({ report, filter, form }: ReportView): Html => html`
<form class="card" method="get" action="/account/usage#cost">
<div class="pair">
${field({ label: 'First day', type: 'date', autocomplete: 'off', name: 'from' }, form)}
${field({ label: 'Last day', type: 'date', autocomplete: 'off', name: 'to' }, form)}
${select({ name: 'group', label: 'By', options: GROUPS }, filter.group)}
</div>
<button class="second start">Show</button></form>
<section class="card" aria-labelledby="cost"><h2 id="cost">Cost by ${GROUPS[filter.group].toLowerCase()}</h2>
${report.rows.length === 0 ? html`<p class="soft">Nothing in these days.</p>` : figuresOf(report, filter)}
</section>`

const figuresOf = ({ rows, total, nextOffset }: Report, filter: Filter) => html`
${filter.group === 'day' && dayChart(rows, filter)}
${table(rows, total, filter)}
${nextOffset !== null && html`<p class="soft">These are the ${count(rows.length)} most expensive ones. The file has more.</p>`}
${total.estimatedCalls > 0 && html`<p class="soft">The tokens of ${count(total.estimatedCalls)} calls are estimated: they broke off before Anthropic counted.</p>`}
${total.unpricedCalls > 0 && html`<p class="soft">The price of ${count(total.unpricedCalls)} calls is not known, and not in the sum.</p>`}
<p><a href="${addressOf('/account/usage/csv', filter)}">Download as CSV</a></p>`

/** Days without calls are no rows of a report, and are columns all the same. */
function dayChart(rows: readonly Row[], filter: Filter): Html {
  const costs = new Map(rows.map(({ key, costNanoUsd }) => [key, costNanoUsd]))
  const bars = daysOf(filter).map((day) => {
    const cost = costs.get(day) ?? 0n
    return { value: Number(cost), text: `${day}: ${usd(cost)}` }
  })
  const most = usd(rows.reduce((highest, row) => maxOf(highest, row.costNanoUsd), 0n))
  const description = `One column for each day. The highest is ${most}.`
  return html`<figure class="figures">
${columnChart({ id: 'chart', title: 'Cost by day', description, bars })}
<figcaption><span>${filter.from}</span><span>Highest: ${most}</span><span>${filter.to}</span></figcaption>
</figure>`
}

const table = (rows: readonly Row[], total: Figures, { group }: Filter) => html`
<table class="stacks" role="table" aria-labelledby="cost">
<thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">${GROUPS[group]}</th>${Object.values(COLUMNS).map((name) => html`<th role="columnheader" scope="col">${name}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map((row) => bodyRow(row, rows, group))}</tbody>
<tfoot role="rowgroup">${figures(html`Together`, total)}</tfoot>
</table>`

const COLUMNS = {
  cost: 'Cost',
  calls: 'Calls',
  input: 'Input tokens',
  output: 'Output tokens',
} as const

function bodyRow(row: Row, rows: readonly Row[], group: Filter['group']): Html {
  const name = nameOf(row, group)
  if (group === 'day') return figures(html`${name}`, row)
  const bar = { value: Number(row.costNanoUsd), text: `${name}: ${usd(row.costNanoUsd)}` }
  const most = Math.max(...rows.map(({ costNanoUsd }) => Number(costNanoUsd)))
  const label =
    group === 'conversation' && row.key !== null
      ? html`<a href="/account/conversations/${row.key}">${name}</a>`
      : html`<bdi>${name}</bdi>`
  const shown = html`<span class="with-bar">${label}${rowBar(bar, most)}${sessionFacts(row)}</span>`
  return figures(shown, row)
}

/** What only a session is asked for: when, with which models, how much from the cache and for sub-agents. */
function sessionFacts(row: Row): Html {
  if (row.session === null) return html``
  const { models, firstCallAt, lastCallAt } = row.session
  const { cacheHits, subagents } = sessionShares(row, row.session)
  const names = models.map((model) => visibleName(model) ?? 'Unreadable').join(', ')
  return html`<span class="hint">First call ${minute(firstCallAt)}, last ${minute(lastCallAt)}. <bdi>${names}</bdi>.
${cacheHits !== null && `${percent(cacheHits)} of the input from the cache. `}${subagents !== null && `${percent(subagents)} of the cost by sub-agents.`}</span>`
}

const percent = (share: number) => `${Math.round(share * 100)} %`

/** Tags, sessions and clients have the names that a client gave them. */
function nameOf({ key }: Row, group: Filter['group']): string {
  if (key === null) return UNNAMED[group] ?? 'Unknown'
  if (group === 'source') return SOURCES[key] ?? key
  return visibleName(key) ?? 'Unreadable'
}

const UNNAMED: Partial<Record<Filter['group'], string>> = {
  tag: 'Without a tag',
  session: 'Without a session',
  client: 'Unnamed, or through MCP',
}

const SOURCES: Record<string, string> = { mcp: 'MCP', messages: 'Messages API' }

/** Narrow screens stack the labelled cells, whose semantics are lost without explicit roles. */
const figures = (name: Html, { calls, inputTokens, outputTokens, costNanoUsd }: Figures) =>
  html`<tr role="row"><th role="rowheader" scope="row">${name}</th>
${cell('cost', usd(costNanoUsd))}${cell('calls', count(calls))}
${cell('input', count(inputTokens))}${cell('output', count(outputTokens))}</tr>`

const cell = (column: keyof typeof COLUMNS, value: string) =>
  html`<td role="cell" data-label="${COLUMNS[column]}">${value}</td>`

const maxOf = (a: bigint, b: bigint) => (a > b ? a : b)
