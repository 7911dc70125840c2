/** A page of an audit log. */

import type { ReadEvent } from '../../services/audit/audit-reading.ts'
import { minute, wordTable } from './format.ts'
import { type Html, html } from './html.ts'

/** @param path of the page, for the link to older events; `next` goes into its query. */
export const eventsTable = (
  { events, next }: { events: readonly ReadEvent[]; next: string | null },
  path: string,
): Html =>
  events.length === 0
    ? html`<p class="soft">Nothing yet.</p>`
    : html`${wordTable(COLUMNS, events.map(row))}
${next !== null && html`<p><a href="${`${path}?before=${next}`}">Older</a></p>`}`

const COLUMNS = ['When', 'What', 'By', 'Whom or what', 'Details']

const row = ({ at, action, actor, network, target, detail }: ReadEvent): Html[] => [
  html`${minute(at)}`,
  html`<span class="mono">${action}</span>`,
  html`<bdi>${actor}</bdi>${network !== null && html` <span class="soft">${network}</span>`}`,
  html`<bdi>${target}</bdi>`,
  html`${Object.entries(detail).map(([name, value]) => html`<span class="tag">${name}: ${String(value)}</span> `)}`,
]

/** The place in the log that the address names: decimal; null for its end. */
export const placeOf = (query: unknown): string | null =>
  typeof query === 'string' && /^\d{1,18}$/.test(query) ? query : null
