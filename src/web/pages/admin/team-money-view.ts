import type { Services } from '../../../services/index.ts'
import { type FormState, field, summary } from '../../kit/form.ts'
import { fact, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { toAmount } from '../../kit/usd-amount.ts'
import { POOL_FIELDS } from '../teams/money-view.ts'
import { budgetRow } from '../usage/view.ts'

type Money = Awaited<ReturnType<Services['teamBudgets']['showAny']>>
type MoneyPage = {
  money: Money
  isAdmin: boolean
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export const teamMoneyPage = (page: MoneyPage): Page => ({
  title: `Money of ${page.money.team.name}`,
  layout: '/admin/teams',
  body: html`<div class="intro"><h1>Money of <bdi>${page.money.team.name}</bdi></h1>
<p class="soft"><a href="/admin/teams/${page.money.team.id}">Back to the team</a></p></div>
${page.notice}${summary(page.form)}
<section class="card" aria-labelledby="pool"><h2 id="pool">The team's budget</h2>
${page.money.pool.map(budgetRow)}</section>
${page.isAdmin && page.money.team.archivedAt === null && limits(page)}
<section class="card" aria-labelledby="members"><h2 id="members">Members this month</h2><ul class="rows">
${page.money.members.map(member)}</ul></section>`,
})

function limits({ money, csrfField, form }: MoneyPage): Html {
  const setBy = (who: 'admin' | 'team', period: 'day' | 'month') =>
    money.limits.find((limit) => limit.period === period && limit.setBy === who)?.nanoUsd ?? null
  const values = {
    [POOL_FIELDS.day]: toAmount(setBy('admin', 'day')),
    [POOL_FIELDS.month]: toAmount(setBy('admin', 'month')),
    ...form.values,
  }
  const limitField = (period: 'day' | 'month', label: string) => {
    const own = setBy('team', period)
    const hint = own === null ? {} : { hint: `The team limits itself to ${usd(own)}.` }
    const name = POOL_FIELDS[period]
    return field({ name, label, isOptional: true, ...AMOUNT, ...hint }, { ...form, values })
  }
  return html`<section class="card" aria-labelledby="limits"><h2 id="limits">Limits of the installation</h2>
<p class="soft">The team's own limits apply as well. Days and months are those of UTC. Empty means no limit.</p>
<form method="post" action="/admin/teams/${money.team.id}/money">${csrfField}
<div class="pair">${limitField('day', 'Limit per day in USD')}${limitField('month', 'Limit per month in USD')}</div>
<button class="start">Save limits</button></form></section>`
}

const AMOUNT = { autocomplete: 'off', inputMode: 'decimal', maxLength: 20 } as const

const member = ({ username, month }: Money['members'][number]) => html`<li><div class="what">
<h3><bdi>${username}</bdi></h3><dl class="facts">${fact('Spent', usd(month.spent.nanoUsd))}
${month.limit.nanoUsd !== null && fact('Limit', usd(month.limit.nanoUsd))}</dl></div></li>`
