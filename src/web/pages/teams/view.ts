import type { Services } from '../../../services/index.ts'
import { type FormState, field, summary } from '../../kit/form.ts'
import { count, day, fact } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type ListedTeam = Awaited<ReturnType<Services['teams']['list']>>[number]

type TeamsPage = {
  csrfField: Html
  notice: Html | undefined
  teams: readonly ListedTeam[]
  form: FormState
}

export const teamsPage = ({ csrfField, notice, teams, form }: TeamsPage): Page => ({
  title: 'Teams',
  layout: '/account/teams',
  body: html`<div class="intro"><h1>Teams</h1>
<p class="soft">A conversation that is shared with a team is shared with those who are in it at that moment.</p></div>
${notice}${summary(form)}
<section class="card" aria-labelledby="yours"><h2 id="yours">Your teams</h2>
${teams.length === 0 ? html`<p class="soft">You are in no team.</p>` : html`<ul class="rows">${teams.map(row)}</ul>`}
</section>
<section class="card" aria-labelledby="new"><h2 id="new">Make a team</h2>
<form method="post" action="/account/teams">${csrfField}
${field({ name: 'name', label: 'Name', hint: '3 to 64 characters: letters, digits, and a space or . _ - between words', autocomplete: 'off', maxLength: 64 }, form)}
<button class="start">Make</button></form></section>`,
})

const row = ({
  id,
  name,
  role,
  members,
  archivedAt,
  createdAt,
}: ListedTeam) => html`<li><div class="what">
<h3><a href="/account/teams/${id}"><bdi>${name}</bdi></a>${archivedAt !== null && html` <span class="tag">archived</span>`}</h3>
<dl class="facts">${fact('You are', role)}${fact('Members', count(members))}${fact('Since', day(createdAt))}</dl></div></li>`
