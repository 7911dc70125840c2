import type { ConversationPage } from '../../../../services/conversations/conversations.ts'
import { type Html, html } from '../../../kit/html.ts'

export type Filter = NonNullable<ConversationPage['filter']>

const LABELS: Record<Filter, string> = {
  mine: 'Yours',
  shared: 'Shared with you',
  archived: 'Archived',
  all: 'All',
}

/** Those that this gateway has, with what they are called. */
const filtersOf = (isSharingOn: boolean) =>
  Object.entries(LABELS).filter(([name]) => isSharingOn || name !== 'shared') as [Filter, string][]

/** @returns `mine` for what is no filter. */
export const filterOf = (name: string, isSharingOn: boolean): Filter =>
  filtersOf(isSharingOn).find(([filter]) => filter === name)?.[0] ?? 'mine'

export function filterLinks(current: Filter, isSharingOn: boolean): Html {
  const links = filtersOf(isSharingOn).map(
    ([name, label]) =>
      html`<li><a href="${listPath(name)}"${name === current && html` aria-current="page"`}>${label}</a></li>`,
  )
  return html`<nav class="filters" aria-label="Which conversations"><ul>${links}</ul></nav>`
}

export const listPath = (filter: Filter, cursor?: string): string => {
  const params = new URLSearchParams({
    ...(filter === 'mine' ? {} : { filter }),
    ...(cursor === undefined ? {} : { cursor }),
  })
  return params.size === 0 ? '/account/conversations' : `/account/conversations?${params}`
}
