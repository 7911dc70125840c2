import type { LimitSource } from '../../../services/billing/budgets.ts'
import type { Services } from '../../../services/index.ts'
import { type FormState, field, select, summary } from '../../kit/form.ts'
import { fact, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { budgetRow } from '../usage/view.ts'

type Budgets = Awaited<ReturnType<Services['budgetSettings']['showForUser']>>
type BudgetPage = {
  username: string
  budgets: Budgets
  sources: Record<'day' | 'month', LimitSource>
  isAdmin: boolean
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export const userBudgetPage = (page: BudgetPage): Page => ({
  title: `Budget of ${page.username}`,
  layout: '/admin/users',
  body: html`<div class="intro"><h1>Budget of <bdi>${page.username}</bdi></h1>
<p class="soft"><a href="/admin/users/${encodeURIComponent(page.username)}">Back to the user</a></p></div>
${page.notice}${summary(page.form)}
<section class="card" aria-labelledby="used"><h2 id="used">Used</h2>${page.budgets.map(budgetRow)}</section>
<section class="card" aria-labelledby="limits"><h2 id="limits">Limits</h2><dl class="facts">
${given('Day', page.sources.day)}${given('Month', page.sources.month)}</dl></section>
${page.isAdmin && setting(page)}`,
})

const given = (label: string, source: LimitSource) => html`
${fact(`${label}, ${GIVERS[source.givenBy]}`, amount(source.given, source.givenCovers))}
${source.own !== null && fact(`${label}, their own`, amount(source.own, source.ownCovers))}`

const GIVERS = { admin: 'by an admin', default: 'for everybody' }

const amount = ({ nanoUsd }: LimitSource['given'], covers: LimitSource['givenCovers']) =>
  `${nanoUsd === null ? 'no limit in USD' : usd(nanoUsd)}${covers === 'everything' ? ', of everything' : ''}`

const setting = ({ username, sources, csrfField, form }: BudgetPage) => html`<form class="card"
 method="post" action="/admin/users/${encodeURIComponent(username)}/budget">${csrfField}
<div class="pair">${select({ name: 'period', label: 'For', options: { month: 'the month', day: 'the day' } }, form.values.period ?? 'month')}
${select({ name: 'covers', label: 'Counts', options: COVERS }, form.values.covers ?? sources.month.givenCovers)}</div>
${field({ name: 'amount', label: 'Limit in USD', isOptional: true, hint: 'Empty: the limit for everybody again. 0 lets them spend nothing.', autocomplete: 'off', inputMode: 'decimal', maxLength: 20 }, form)}
<button class="start">Save</button></form>`

const COVERS = {
  own_key: 'what their own key pays',
  everything: 'everything, also what teams pay for them',
}
