import type { Services } from '../../services/index.ts'
import { count, day, usd } from './format.ts'
import { type Html, html } from './html.ts'
import type { Page } from './layout.ts'

type Report = Awaited<ReturnType<Services['usage']['report']>>
type Figures = Report['total']
type Budget = Awaited<ReturnType<Services['budgetSettings']['show']>>[number]

export function usagePage({ rows, total }: Report, budgets: readonly Budget[]): Page {
  return {
    title: 'Usage',
    layout: '/account/usage',
    body: html`<div class="intro"><h1>This month’s usage</h1>
<p class="soft">Since the first of the month (UTC).</p></div>
<section class="card" aria-labelledby="cost"><h2 id="cost">Cost by model</h2>
${rows.length === 0 ? html`<p class="soft">Nothing yet this month.</p>` : table(rows, total)}
</section>
<section class="card" aria-labelledby="budget"><h2 id="budget">Budget</h2>
${budgets.map(budgetRow)}
</section>`,
  }
}

const table = (rows: readonly Figures[], total: Figures) => html`
<div class="scroll" role="group" aria-labelledby="cost" tabindex="0"><table>
<thead><tr><th scope="col">Model</th><th scope="col">Cost</th><th scope="col">Calls</th><th scope="col">Input tokens</th><th scope="col">Output tokens</th></tr></thead>
<tbody>${rows.map((row) => html`<tr><th scope="row">${row.key}</th>${cells(row)}</tr>`)}</tbody>
<tfoot><tr><th scope="row">Together</th>${cells(total)}</tr></tfoot>
</table></div>
${total.estimatedCalls > 0 && html`<p class="soft">The tokens of ${count(total.estimatedCalls)} calls are estimated: they broke off before Anthropic counted.</p>`}
${total.unpricedCalls > 0 && html`<p class="soft">The price of ${count(total.unpricedCalls)} calls is not known, and not in the sum.</p>`}`

const cells = ({ calls, inputTokens, outputTokens, costUsd }: Figures) =>
  html`<td>${usd(BigInt(Math.round(costUsd * 1e9)))}</td><td>${count(calls)}</td><td>${count(inputTokens)}</td><td>${count(outputTokens)}</td>`

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
