import type { ShownRequest } from '../../../services/billing/requests/budget-requests.ts'
import { type FormState, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { decidableRequests } from '../requests/rows.ts'

type RequestsPage = {
  /** Null: the visitor may not read them. */
  requests: readonly ShownRequest[] | null
  csrfField: Html
  notice: Html | undefined
  form: FormState
}

export const adminRequestsPage = (page: RequestsPage): Page => ({
  title: 'Requests',
  layout: '/admin/requests',
  body: html`<div class="intro"><h1>Requests for a higher limit</h1>
<p class="soft">Of users, about their own budget. Those about the money of a team are on the team’s page.</p></div>
${page.notice}${summary(page.form)}
<section class="card">${shown(page)}</section>`,
})

function shown({ requests, csrfField, form }: RequestsPage): Html {
  if (requests === null) return html`<p class="soft">Only admins read and decide them.</p>`
  if (requests.length === 0) return html`<p class="soft">None.</p>`
  return decidableRequests(requests, '/admin/requests', csrfField, form)
}
