import type { BudgetAlert } from '../../../services/billing/alerts/budget-alerts.ts'
import { isLimit } from '../../../services/billing/books/limit.ts'
import type { Services } from '../../../services/index.ts'
import { columnChart } from '../../kit/charts.ts'
import { confirmation, type FormState, field, select, summary } from '../../kit/form.ts'
import { count, day, fact, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { toAmount } from '../../kit/usd-amount.ts'
import { alertsCard, type WhoseBudget } from '../usage/alerts-view.ts'
import { budgetRow } from '../usage/view.ts'

type Money = Awaited<ReturnType<Services['teamBudgets']['showAll' | 'showAny']>>
type KeyStatus = NonNullable<Awaited<ReturnType<Services['teamKeys']['status']>>>

type MoneyPage = {
  /** Address of the list of teams. */
  base: '/account/teams' | '/admin/teams'
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
  const { base, money, key, notice, form } = page
  const { team, pool, member, days, members } = money
  const isInUse = team.archivedAt === null
  const isOwner = team.role === 'owner' && isInUse
  const isManaging = team.role !== 'member' && isInUse
  const isMember = base === '/account/teams'
  return {
    title: `Money of ${team.name}`,
    layout: base,
    body: html`<div class="intro"><h1>Money of <bdi>${team.name}</bdi></h1>
<p class="soft">${isMember && html`Members pay with the team's key where they say so: <code>pay_with: "team:${team.name}"</code>. `}<a href="${base}/${team.id}">Back to the team</a></p></div>
${notice}${summary(form)}
<section class="card" aria-labelledby="pool"><h2 id="pool">The team's budget</h2>
${pool.map(budgetRow)}${days.length > 0 && chart(days)}</section>
${
  isMember &&
  html`<section class="card" aria-labelledby="part"><h2 id="part">Your part of it</h2>
${member.map(budgetRow)}</section>`
}
${alertsCard(page.alerts, whoseIn(money))}
${isManaging && limits(page)}${members.length > 0 && membersOf(page, isManaging)}
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

/** The team's own ones, or on the pages of admins those of the installation; both apply. */
function limits({ base, money, csrfField, form }: MoneyPage): Html {
  const isInstallations = base === '/admin/teams'
  const setBy = (who: 'admin' | 'team', period: 'day' | 'month') =>
    money.limits.find((limit) => limit.period === period && limit.setBy === who)?.nanoUsd ?? null
  const [shown, other] = isInstallations
    ? (['admin', 'team'] as const)
    : (['team', 'admin'] as const)
  const values = {
    [POOL_FIELDS.day]: toAmount(setBy(shown, 'day')),
    [POOL_FIELDS.month]: toAmount(setBy(shown, 'month')),
    ...form.values,
  }
  const limitField = (period: 'day' | 'month', label: string) => {
    const most = setBy(other, period)
    const hint = most === null ? {} : { hint: HINTS[other](usd(most)) }
    const name = POOL_FIELDS[period]
    return field({ name, label, isOptional: true, ...AMOUNT, ...hint }, { ...form, values })
  }
  return html`<section class="card" aria-labelledby="limits"><h2 id="limits">${isInstallations ? 'Limits of the installation' : 'Limits'}</h2>
<p class="soft">Of what all members spend together. ${isInstallations && "The team's own limits apply as well. "}Days and months are those of UTC. Empty means no limit.</p>
<form method="post" action="${base}/${money.team.id}/money/pool">${csrfField}
<div class="pair">${limitField('day', 'Limit per day in USD')}${limitField('month', 'Limit per month in USD')}</div>
<button class="start">Save limits</button></form></section>`
}

const HINTS = {
  admin: (most: string) => `The operator’s limit of ${most} applies as well.`,
  team: (most: string) => `The team limits itself to ${most}.`,
}

const AMOUNT = { autocomplete: 'off', inputMode: 'decimal', maxLength: 20 } as const

const membersOf = (page: MoneyPage, isManaging: boolean) => html`<section
 class="card" aria-labelledby="members"><h2 id="members">Members this month</h2><ul class="rows">
${page.money.members.map(memberRow)}</ul>
${isManaging && capForm(page)}</section>`

const memberRow = ({
  username,
  day: today,
  month,
}: Money['members'][number]) => html`<li><div class="what">
<h3><bdi>${username}</bdi></h3><dl class="facts">${fact('Spent', usd(month.spent.nanoUsd))}
${isLimit(today.limit) && fact('Limit per day', limitText(today.limit))}${isLimit(month.limit) && fact('Limit per month', limitText(month.limit))}</dl></div></li>`

const limitText = ({ nanoUsd, tokens }: { nanoUsd: bigint | null; tokens: number | null }) =>
  [nanoUsd !== null && usd(nanoUsd), tokens !== null && `${count(tokens)} tokens`]
    .filter((part) => part !== false)
    .join(' and ')

const capForm = ({ base, money, csrfField, form }: MoneyPage) => html`
<form method="post" action="${base}/${money.team.id}/money/cap">${csrfField}
${field({ name: 'member', label: 'Username', isOptional: true, hint: 'Empty: every member without a limit of their own.', autocomplete: 'off', maxLength: 64 }, form)}
<div class="pair">${select({ name: 'period', label: 'For', options: { month: 'the month', day: 'the day' } }, form.values.period ?? 'month')}
${select({ name: 'unit', label: 'In', options: { usd: 'USD', tokens: 'tokens' } }, form.values.unit ?? 'usd')}</div>
${field({ name: 'cap', label: 'Limit', isOptional: true, hint: 'Empty removes it. 0 lets them spend nothing. A limit in the other unit stays.', ...AMOUNT }, form)}
<button class="start">Save</button></form>`

const stored = ({ lastFour, addedAt, rejectedAt }: KeyStatus) => html`
<p class="figure mono">••••${lastFour}</p>
<p class="soft">Added ${day(addedAt)}. It is encrypted and never shown again, to nobody.</p>
${rejectedAt && html`<p class="notice warn">Anthropic refused this key on ${day(rejectedAt)}. An owner of the team can replace it.</p>`}`

const removal = ({ base, money, csrfField }: MoneyPage) =>
  confirmation(
    'Remove key…',
    html`<p>Nothing is paid by the team until an owner enters another one.</p>
<form method="post" action="${base}/${money.team.id}/money/key/remove">${csrfField}<button class="harm start">Remove key</button></form>`,
  )

const entry = ({ base, money, key, csrfField, form }: MoneyPage) => html`
<form class="card" method="post" action="${base}/${money.team.id}/money/key">${csrfField}
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
