import type { ShownRequest } from '../../../services/billing/requests/budget-requests.ts'
import { MAX_REASON_CHARACTERS } from '../../../services/billing/requests/budget-requests.ts'
import { type FormState, field, select, summary, textArea } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { ownRequests } from './rows.ts'

type RequestsPage = {
  requests: readonly ShownRequest[]
  /** Names of the visitor's teams by id. */
  teams: Readonly<Record<string, string>>
  /** Id of the chosen one; '' for the visitor's own limit. */
  team: string
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export const requestsPage = (page: RequestsPage): Page => ({
  title: 'Requests',
  layout: '/account/usage',
  body: html`<div class="intro"><h1>Ask for a higher limit</h1>
<p class="soft">If it is granted, it holds until the day or month is over. <a href="/account/usage">Back to usage</a></p></div>
${page.notice}${summary(page.form)}
<section class="card" aria-labelledby="open"><h2 id="open">Your open requests</h2>
${page.requests.length === 0 ? html`<p class="soft">None.</p>` : ownRequests(page.requests, page.csrfField)}</section>
${asking(page)}`,
})

const asking = ({ teams, team, csrfField, form }: RequestsPage) => html`<form class="card"
 method="post" action="/account/requests">${csrfField}
${select({ name: 'team', label: 'Of', options: { '': 'your own budget', ...teams } }, team)}
${field({ name: 'amount', label: 'New limit in USD', autocomplete: 'off', inputMode: 'decimal', maxLength: 20, hint: 'More than the limit that stops you now.' }, form)}
${textArea({ name: 'reason', rows: 3, hint: `At most ${MAX_REASON_CHARACTERS} characters. Those read it who decide.` }, form)}
<div class="actions"><button>Ask</button></div></form>`
