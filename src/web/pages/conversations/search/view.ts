import type { SearchIn } from '../../../../services/conversations/search/candidates.ts'
import type { SearchHit, SearchResult } from '../../../../services/conversations/search/search.ts'
import { count, fact, minute } from '../../../kit/format.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import { pathOf } from '../reading/address.ts'
import { shownTitle } from '../shown-title.ts'
import { searchForm } from './form.ts'

type Asked = { query: string; searched: SearchIn; isSharingOn: boolean }
/** `result`: null before a search, and for one that was refused. */
type SearchPage = Asked & { result: SearchResult | null; error?: string | undefined }

export const searchPage = ({ result, error, ...asked }: SearchPage): Page => ({
  title: 'Search',
  layout: '/account/conversations',
  body: html`<div class="intro"><p><a href="/account/conversations">All conversations</a></p>
<h1>Search</h1></div>
${error !== undefined && html`<p class="notice bad" role="alert">${error}</p>`}
${searchForm({ ...asked, error })}
${result && found(result, asked)}`,
})

const found = ({ hits, searched, nextCursor }: SearchResult, asked: Asked) => html`
<p role="status">${said(hits.length, nextCursor !== null)} <span class="soft">${count(searched)} titles and messages were compared.</span></p>
${hits.length > 0 && html`<section class="card" aria-label="What was found"><ul class="rows">${hits.map(row)}</ul></section>`}
${nextCursor !== null && html`<p><a href="${morePath(asked, nextCursor)}">Search on</a></p>`}`

function said(hits: number, isMore: boolean): string {
  if (hits === 0) return isMore ? 'Nothing found so far.' : 'Nothing found.'
  return `${count(hits)} found${isMore ? ', newest first; there may be more.' : '.'}`
}

function morePath({ query, searched }: Asked, cursor: string): string {
  return `/account/conversations/search?${new URLSearchParams({ query, in: searched, cursor })}`
}

const row = (hit: SearchHit): Html => html`<li><div class="what">
<h2><a href="${pathOf(hit.conversationId, hit.message?.id)}"><bdi>${shownTitle(hit.title)}</bdi></a>${hit.isOthersConversation && html` <span class="tag">shared</span>`}</h2>
${hit.message && html`<p class="snippet" dir="auto">${hit.snippet}</p>`}
<dl class="facts">${fact('In', placeOf(hit))}${fact('Written', minute(hit.createdAt))}</dl></div></li>`

function placeOf({ message }: SearchHit): string {
  if (message === null) return 'the title'
  return message.role === 'assistant' ? 'an answer of Claude' : 'a message'
}
