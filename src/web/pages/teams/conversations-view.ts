import type { Services } from '../../../services/index.ts'
import { confirmation } from '../../kit/form.ts'
import { count, day, fact } from '../../kit/format.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Listed = Awaited<ReturnType<Services['teamConversations']['list']>>
type ConversationsPage = Listed & { csrfField: Html; notice: Html | undefined }

/** Neither titles nor texts: who manages a team does not read what its members write. */
export const teamConversationsPage = (page: ConversationsPage): Page => ({
  title: 'Conversations of the team',
  layout: '/account/teams',
  body: html`<div class="intro"><h1>Conversations of <bdi>${page.team.name}</bdi></h1>
<p class="soft">Those that their owners have made the team’s. You see that they are there, and read only what is shared with you. <a href="/account/teams/${page.team.id}">Back to the team</a></p></div>
${page.notice}
<section class="card" aria-labelledby="list"><h2 id="list">Conversations</h2>
${page.conversations.length === 0 ? html`<p class="soft">None.</p>` : html`<ul class="rows">${page.conversations.map((row) => conversationRow(row, page))}</ul>`}
${page.next !== null && html`<p><a href="${`/account/teams/${page.team.id}/conversations?before=${page.next}`}">Older ones</a></p>`}
</section>`,
})

function conversationRow(row: Listed['conversations'][number], page: ConversationsPage): Html {
  const { csrfField, team } = page
  const path = `/account/teams/${team.id}/conversations/${row.id}`
  return html`<li><div class="what"><h3 class="mono">${row.id}</h3><dl class="facts">
${fact('Owner', html`<bdi>${row.owner}</bdi>`)}${fact('Messages', count(row.messages))}
${fact('Shares', count(row.shares))}${fact('Links', count(row.links))}
${fact('Began', day(row.createdAt))}${fact('Last message', day(row.updatedAt))}</dl></div>
${row.shares + row.links > 0 && confirmation('End shares…', html`<p>All shares and links of it end at once. Its owner keeps it.</p><form method="post" action="${path}/end-shares">${csrfField}<button class="harm small">End them<span class="hush"> of ${row.id}</span></button></form>`)}
${team.role === 'owner' && confirmation('Delete…', html`<p>It is deleted for ever, for its owner too.</p><form method="post" action="${path}/delete">${csrfField}<button class="harm small">Delete<span class="hush"> ${row.id}</span></button></form>`)}</li>`
}
