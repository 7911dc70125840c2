import type { Services } from '../../../../services/index.ts'
import { count, fact, minute } from '../../../kit/format.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import { searchForm } from '../search/form.ts'
import { shownTitle } from '../shown-title.ts'
import { type Filter, filterLinks, listPath } from './filters.ts'

type Listed = Awaited<ReturnType<Services['conversations']['list']>>
type ListPage = Listed & { filter: Filter; isSharingOn: boolean; notice: Html | undefined }

export const listPage = (page: ListPage): Page => ({
  title: 'Conversations',
  layout: '/account/conversations',
  body: html`<div class="intro"><h1>Conversations</h1>
<p class="soft">${page.total === 0 ? 'None here yet.' : `${count(page.total)} here, newest activity first.`}</p></div>
${page.notice}
<p class="actions"><a class="button" href="/account/conversations/new">New conversation</a>${page.isSharingOn && html` <a href="/account/shares">Shares</a>`}</p>
${searchForm({ query: '', searched: 'all', isSharingOn: page.isSharingOn })}
${filterLinks(page.filter, page.isSharingOn)}
${
  page.conversations.length > 0 &&
  html`<section class="card" aria-label="Conversations"><ul class="rows">${page.conversations.map(row)}</ul></section>`
}
${page.nextCursor !== null && html`<p><a href="${listPath(page.filter, page.nextCursor)}">Older conversations</a></p>`}`,
})

const row = (listed: Listed['conversations'][number]) =>
  html`<li><div class="what">
<h2><a href="/account/conversations/${listed.id}"><bdi>${shownTitle(listed.title)}</bdi></a>${tags(listed)}</h2>
<dl class="facts">
${listed.role !== 'owner' && fact('Owner', html`<bdi>${listed.owner}</bdi>`)}
${fact('Last activity', minute(listed.updatedAt))}
${fact('Messages', count(listed.messageCount))}
${fact('Model', listed.model)}
</dl></div></li>`

type Tagged = Pick<Listed['conversations'][number], 'isArchived' | 'isShared'>

export const tags = ({ isArchived, isShared }: Tagged): Html =>
  html`${isShared && html` <span class="tag">shared</span>`}${isArchived && html` <span class="tag">archived</span>`}`
