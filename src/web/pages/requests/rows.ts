/** Requests for a higher limit as they are listed on several pages. */

import type { ShownRequest } from '../../../services/billing/requests/budget-requests.ts'
import { type FormState, hidden } from '../../kit/form.ts'
import { fact, minute, usd } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import { toAmount } from '../../kit/usd-amount.ts'
import { grantField } from './decision-form.ts'

const PERIODS = { day: 'today', month: 'this month' }
const ABOUT = {
  user: 'their own limit',
  member: 'their part of the team’s money',
  team: 'the team’s budget',
}

const row = (request: ShownRequest, acts: Html) => html`<li><div class="what">
<h3><bdi>${request.username}</bdi> · ${usd(request.wantedNanoUsd)} for ${PERIODS[request.period]}</h3>
<p class="soft" dir="auto"><bdi>${request.reason}</bdi></p>
<dl class="facts">${request.teamName !== null && fact('Team', html`<bdi>${request.teamName}</bdi>`)}
${fact('About', ABOUT[request.book])}${fact('Asked', minute(request.createdAt))}${fact('Lapses', minute(request.until))}</dl></div>
${acts}</li>`

/** With buttons to grant them, as asked or another amount, and to deny them. @param path before the id. */
export const decidableRequests = (
  requests: readonly ShownRequest[],
  path: string,
  csrfField: Html,
  { values }: FormState,
): Html => html`<ul class="rows">
${requests.map((request) =>
  row(
    request,
    html`<form method="post" action="${path}/${request.id}">${csrfField}${hidden('decision', 'approve')}
<div class="field"><label for="${grantField(request.id)}">Limit to grant in USD</label>
<input id="${grantField(request.id)}" name="amount" autocomplete="off" inputmode="decimal" maxlength="20" value="${values[grantField(request.id)] ?? toAmount(request.wantedNanoUsd)}"></div>
<button class="small">Grant<span class="hush"> ${request.username}</span></button></form>
<form method="post" action="${path}/${request.id}">${csrfField}${hidden('decision', 'deny')}<button class="second small">Deny<span class="hush"> ${request.username}</span></button></form>`,
  ),
)}</ul>
<p class="soft">A limit that you grant holds until the day or month is over, and then the old one is back.</p>`

/** One's own, each with a button to take it back. */
export const ownRequests = (requests: readonly ShownRequest[], csrfField: Html): Html => html`
<ul class="rows">${requests.map((request) =>
  row(
    request,
    html`<form method="post" action="/account/requests/${request.id}/withdraw">${csrfField}<button class="second small">Take back</button></form>`,
  ),
)}</ul>`
