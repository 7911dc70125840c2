import type { BudgetAlert } from '../../../services/billing/alerts/budget-alerts.ts'
import type { Services } from '../../../services/index.ts'
import { columnChart } from '../../kit/charts.ts'
import { confirmation, type FormState, field, select, summary } from '../../kit/form.ts'
import { day, fact, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { toAmount } from '../../kit/usd-amount.ts'
import { alertsCard, type WhoseBudget } from '../usage/alerts-view.ts'
import { budgetRow } from '../usage/view.ts'

type Money = Awaited<ReturnType<Services['teamBudgets']['showAll']>>
type KeyStatus = NonNullable<Awaited<ReturnType<Services['teamKeys']['status']>>>

type MoneyPage = {
  money: Money
  /** Of the team's budget, and of the parts that the reader may see. */
  alerts: readonly BudgetAlert[]
  key: KeyStatus | null
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export const POOL_FIELDS = { day: 'daily_limit', month: 'monthly_limit' } as const

export function moneyPage(page: MoneyPage): Page {
  const { money, key, notice, form } = page
  const { team, pool, member, days } = money
  const isInUse = team.archivedAt === null
  const isOwner = team.role === 'owner' && isInUse
  const isManaging = team.role !== 'member' && isInUse
  return {
    title: `Money of ${team.name}`,
    layout: '/account/teams',
    body: html`<div class="intro"><h1>Money of <bdi>${team.name}</bdi></h1>
<p class="soft">Members pay with the team's key where they say so: <code>pay_with: "team:${team.name}"</code>. <a href="/account/teams/${team.id}">Back to the team</a></p></div>
${notice}${summary(form)}
<section class="card" aria-labelledby="pool"><h2 id="pool">The team's budget</h2>
${pool.map(budgetRow)}${days.length > 0 && chart(days)}</section>
<section class="card" aria-labelledby="part"><h2 id="part">Your part of it</h2>
${member.map(budgetRow)}</section>
${alertsCard(page.alerts, whoseIn(money))}
${isManaging && limits(page)}${isManaging && members(page)}
<section class="card" aria-labelledby="stored"><h2 id="stored">Key</h2>
${key ? stored(key) : html`<p class="soft">The team has no key, so nothing is paid by it.</p>`}
${key && isOwner && removal(page)}</section>
${isOwner && entry(page)}`,
  }
}

const whoseIn =
  ({ members }: Money): WhoseBudget =>
  ({ bookKind, userId }) => {
    if (bookKind === 'team') return "The team's budget"
    const name = members.find((member) => member.userId === userId)?.username
    return name === undefined ? "A part of the team's budget" : `The part of ${name}`
  }

function chart(days: Money['days']): Html {
  const bars = days.map(({ day: on, nanoUsd }) => ({
    value: Number(nanoUsd),
    text: `${on}: ${usd(nanoUsd)}`,
  }))
  return html`${columnChart({ id: 'spent', title: 'Spent by day', description: 'What the team paid on each day on which it paid something.', bars })}
<details><summary>As a table</summary><table><thead><tr><th scope="col">Day</th><th scope="col">Spent</th></tr></thead><tbody>
${days.map(({ day: on, nanoUsd }) => html`<tr><th scope="row">${on}</th><td>${usd(nanoUsd)}</td></tr>`)}</tbody></table></details>`
}

function limits({ money, csrfField, form }: MoneyPage): Html {
  const own = (period: 'day' | 'month') =>
    money.limits.find((limit) => limit.period === period && limit.setBy === 'team')?.nanoUsd ?? null
  const given = (period: 'day' | 'month') =>
    money.limits.find((limit) => limit.period === period && limit.setBy === 'admin')?.nanoUsd
  const values = {
    [POOL_FIELDS.day]: toAmount(own('day')),
    [POOL_FIELDS.month]: toAmount(own('month')),
    ...form.values,
  }
  const limitField = (period: 'day' | 'month', label: string) => {
    const most = given(period)
    const hint =
      most == null ? {} : { hint: `The operator’s limit of ${usd(most)} applies as well.` }
    const name = POOL_FIELDS[period]
    return field({ name, label, isOptional: true, ...AMOUNT, ...hint }, { ...form, values })
  }
  return html`<section class="card" aria-labelledby="limits"><h2 id="limits">Limits</h2>
<p class="soft">Of what all members spend together. Days and months are those of UTC. Empty means no limit.</p>
<form method="post" action="/account/teams/${money.team.id}/money/pool">${csrfField}
<div class="pair">${limitField('day', 'Limit per day in USD')}${limitField('month', 'Limit per month in USD')}</div>
<button class="start">Save limits</button></form></section>`
}

const AMOUNT = { autocomplete: 'off', inputMode: 'decimal', maxLength: 20 } as const

const members = ({ money, csrfField, form }: MoneyPage) => html`<section
 class="card" aria-labelledby="members"><h2 id="members">Members this month</h2><ul class="rows">
${money.members.map(
  ({
    username,
    month,
  }) => html`<li><div class="what"><h3><bdi>${username}</bdi></h3><dl class="facts">
${fact('Spent', usd(month.spent.nanoUsd))}${month.limit.nanoUsd !== null && fact('Limit', usd(month.limit.nanoUsd))}</dl></div></li>`,
)}</ul>
<form method="post" action="/account/teams/${money.team.id}/money/cap">${csrfField}
<div class="pair">${field({ name: 'member', label: 'Username', isOptional: true, hint: 'Empty: every member without a limit of their own.', autocomplete: 'off', maxLength: 64 }, form)}
${select({ name: 'period', label: 'For', options: { month: 'the month', day: 'the day' } }, form.values.period ?? 'month')}</div>
${field({ name: 'cap', label: 'Limit in USD', isOptional: true, hint: 'Empty removes it. 0 lets them spend nothing.', ...AMOUNT }, form)}
<button class="start">Save</button></form></section>`

const stored = ({ lastFour, addedAt, rejectedAt }: KeyStatus) => html`
<p class="figure mono">••••${lastFour}</p>
<p class="soft">Added ${day(addedAt)}. It is encrypted and never shown again, to nobody.</p>
${rejectedAt && html`<p class="notice warn">Anthropic refused this key on ${day(rejectedAt)}. An owner of the team can replace it.</p>`}`

const removal = ({ money, csrfField }: MoneyPage) =>
  confirmation(
    'Remove key…',
    html`<p>Nothing is paid by the team until an owner enters another one.</p>
<form method="post" action="/account/teams/${money.team.id}/money/key/remove">${csrfField}<button class="harm start">Remove key</button></form>`,
  )

const entry = ({ money, key, csrfField, form }: MoneyPage) => html`
<form class="card" method="post" action="/account/teams/${money.team.id}/money/key">${csrfField}
${field(
  {
    name: 'key',
    label: key ? 'New key' : 'Anthropic API key of the team',
    type: 'password',
    autocomplete: 'off',
    maxLength: 512,
    hint: html`It begins with <code>sk-ant-api</code>. Make one in the <a href="https://console.anthropic.com/settings/keys" rel="noreferrer">Anthropic Console</a>, best in a workspace of its own with a spend limit.`,
  },
  form,
)}
<p class="soft">All members may send messages with it, within the team's budget. We test the key with Anthropic when you save it. That costs nothing.</p>
<div class="actions"><button>${key ? 'Replace key' : 'Save key'}</button></div></form>`
