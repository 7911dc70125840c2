import type { Services } from '../../../services/index.ts'
import { count, day, fact } from '../../kit/format.ts'
import { html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Listed = Awaited<ReturnType<Services['teams']['listAll']>>

export const allTeamsPage = ({ teams, next }: Listed): Page => ({
  title: 'Teams',
  layout: '/admin/teams',
  body: html`<div class="intro"><h1>Teams</h1></div>
<section class="card">${teams.length === 0 ? html`<p class="soft">None.</p>` : html`<ul class="rows">${teams.map(row)}</ul>`}
${next !== undefined && html`<p><a href="${`/admin/teams?after=${encodeURIComponent(next)}`}">More</a></p>`}</section>`,
})

const row = ({
  id,
  name,
  members,
  owners,
  archivedAt,
  createdAt,
}: Listed['teams'][number]) => html`<li><div class="what">
<h3><a href="/admin/teams/${id}"><bdi>${name}</bdi></a>${archivedAt !== null && html` <span class="tag">archived</span>`}</h3>
<dl class="facts">${fact('Members', count(members))}${fact('Owners', html`<bdi>${owners.join(', ') || 'none'}</bdi>`)}${fact('Since', day(createdAt))}</dl></div></li>`
