import type { SearchIn } from '../../../../services/conversations/search/candidates.ts'
import { field, select } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'

export const MOST_CHARACTERS = 500

type Asked = {
  query: string
  searched: SearchIn
  isSharingOn: boolean
  /** What is wrong with the query. */
  error?: string | undefined
}

/** Sent by GET, so that its pages have addresses. */
export const searchForm = ({ query, searched, isSharingOn, error }: Asked): Html => html`<form
 class="search" role="search" method="get" action="/account/conversations/search">
${field(
  {
    name: 'query',
    label: 'Search titles and messages',
    hint: 'All words have to occur; “words in quotes” in this order.',
    autocomplete: 'off',
    maxLength: MOST_CHARACTERS,
  },
  { values: { query }, errors: error === undefined ? {} : { query: error } },
)}
${isSharingOn && select({ name: 'in', label: 'In', options: { all: 'all conversations', mine: 'yours', shared: 'those shared with you' } }, searched)}
<button class="second start">Search</button></form>`
