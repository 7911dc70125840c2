import type { Services } from '../../../services/index.ts'
import type { ShownWebhook } from '../../../services/webhooks/webhooks.ts'
import { checkboxes, confirmation, type FormState, field, summary } from '../../kit/form.ts'
import { count, fact, minute, wordTable } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Delivery = Awaited<ReturnType<Services['webhooks']['deliveries']>>[number]
type Row = ShownWebhook & { deliveries: readonly Delivery[] }

/** `teamName`: null for the installation. */
export type ShownOwner = { teamName: string | null; mayAct: boolean }

/** Shown once. `isReplacing`: the one before signs as well, for a day. */
export type NewSecret = { secret: string; isReplacing: boolean }

type WebhooksPage = {
  owner: ShownOwner
  /** Of the page. */
  address: string
  webhooks: readonly Row[]
  events: ReturnType<Services['webhooks']['eventsOf']>
  chosen: readonly string[]
  secret: NewSecret | undefined
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export function webhooksPage(page: WebhooksPage): Page {
  const { owner, webhooks, notice, form, secret } = page
  const { teamName, mayAct } = owner
  return {
    title: 'Webhooks',
    layout: teamName === null ? '/admin/webhooks' : '/account/teams',
    body: html`<div class="intro"><h1>Webhooks${teamName !== null && html` of <bdi>${teamName}</bdi>`}</h1>
<p class="soft">Programs elsewhere that are told what happens here, in the form of Standard Webhooks. They get ids, figures and names of teams; never what people write.${teamName !== null && html` <a href="${teamAddress(page)}">Back to the team</a>`}</p></div>
${notice}${summary(form)}${secret && newSecret(secret)}
<section class="card" aria-labelledby="all"><h2 id="all">Receivers</h2>
${webhooks.length === 0 ? html`<p class="soft">None.</p>` : html`<ul class="rows">${webhooks.map((row) => webhookRow(row, page))}</ul>`}</section>
${mayAct && adding(page)}`,
  }
}

const teamAddress = ({ address }: WebhooksPage) => address.replace(/\/webhooks$/, '')

const newSecret = ({
  secret,
  isReplacing,
}: NewSecret) => html`<section class="notice good" role="status"><p>The receiver checks with this secret that a message comes from here. Copy it now: it is shown only this once.${isReplacing && ' For a day, messages are signed with the secret before as well.'}</p>
<code class="copy">${secret}</code></section>`

function webhookRow(row: Row, page: WebhooksPage): Html {
  const isOn = row.disabledAt === null
  return html`<li><div class="what"><h3><bdi>${row.host}</bdi>${!isOn && html` <span class="tag">disabled</span>`}</h3>
${stateOf(row)}
<dl class="facts">${fact('Told of', row.events.join(', '))}${fact('Last delivered', row.deliveredAt ? minute(row.deliveredAt) : 'never')}
${fact('On their way', count(row.queued))}${fact('Given up', count(row.dropped))}${fact('Id', html`<span class="mono">${row.id}</span>`)}</dl>
${row.deliveries.length > 0 && deliveries(row.deliveries)}</div>
${page.owner.mayAct && acts(row, page)}</li>`
}

function stateOf({ disabledAt, disabledReason, failingSince, lastProblem }: Row): Html {
  if (disabledAt !== null && disabledReason !== null) {
    return html`<p class="notice warn">Disabled since ${minute(disabledAt)}: ${DISABLED[disabledReason]}</p>`
  }
  if (failingSince === null) return html``
  return html`<p class="notice warn">Nothing has arrived since ${minute(failingSince)}: ${lastProblem}. After three days it is disabled.</p>`
}

const DISABLED = {
  by_hand: 'it was switched off by hand.',
  gone: 'the receiver answered that it is gone (410).',
  failing: 'nothing had arrived for three days.',
}

const deliveries = (rows: readonly Delivery[]) =>
  html`<details><summary>Last deliveries</summary>${wordTable(
    ['At', 'Event', 'Attempts', 'State'],
    rows.map((row) => [minute(row.createdAt), row.event, count(row.attempts), deliveryState(row)]),
  )}</details>`

function deliveryState({ deliveredAt, attempts, lastStatus, nextAttemptAt }: Delivery): Html {
  if (deliveredAt !== null) return html`delivered (${lastStatus})`
  if (attempts === 0) return html`waiting`
  return html`${lastStatus === null ? 'no answer' : `answered ${lastStatus}`}, again ${minute(nextAttemptAt)}`
}

function acts({ id, host, disabledAt }: Row, { address, csrfField }: WebhooksPage): Html {
  const button = (act: string, label: string, kind = 'second') =>
    html`<form method="post" action="${address}/${id}/${act}">${csrfField}<button class="${kind} small">${label}<span class="hush"> ${host}</span></button></form>`
  return html`${
    disabledAt === null
      ? html`${button('test', 'Send a test')}${button('disable', 'Disable')}`
      : button('enable', 'Enable')
  }
${confirmation('New secret…', html`<p>For a day, messages are signed with the old secret as well.</p>${button('rotate', 'Make a new secret')}`)}
${confirmation('Delete…', html`<p>What is on its way to it is not sent any more.</p>${button('delete', 'Delete', 'harm')}`)}`
}

const adding = ({
  address,
  csrfField,
  events,
  chosen,
  form,
}: WebhooksPage) => html`<section class="card" aria-labelledby="new"><h2 id="new">New receiver</h2>
<form method="post" action="${address}">${csrfField}
${field({ name: 'url', label: 'Address', autocomplete: 'off', maxLength: 2048, hint: 'It begins with https:// and leads to a public host, or to one that the operator allows.' }, form)}
${checkboxes({ name: 'events', legend: 'It is told of', choices: events.map((value) => ({ value, label: LABELS[value], note: value, isChosen: chosen.includes(value) })) }, form)}
<button class="start">Add</button></form></section>`

const LABELS: Record<WebhooksPage['events'][number], string> = {
  'budget.threshold': 'Budgets that are used up to 50, 80 or 100 percent',
  'budget.exceeded': 'Calls that a budget stopped, once for each person and period',
  'budget.requested': 'Requests for more budget',
  'key.rejected': 'Keys that Anthropic refuses',
  'member.added': 'People who come into teams',
  'member.removed': 'People who leave teams, or are removed',
  'link.public_created': 'Public links',
  'link.crawled': 'Public links that a search engine opened',
  'sign_in.locked': 'Accounts that are paused after wrong passwords',
  'audit.checkpoint': 'Checkpoints of the audit log',
}
