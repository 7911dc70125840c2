/** A page of an audit log. */

import type { ReadEvent } from '../../services/audit/audit-reading.ts'
import { minute } from './format.ts'
import { type Html, html } from './html.ts'

/** @param path of the page, for the link to older events; `next` goes into its query. */
export const eventsTable = (
  { events, next }: { events: readonly ReadEvent[]; next: string | null },
  path: string,
): Html =>
  events.length === 0
    ? html`<p class="soft">Nothing yet.</p>`
    : html`<div class="scroll"><table><thead><tr><th>When</th><th>What</th><th>By</th><th>Whom or what</th><th>Details</th></tr></thead>
<tbody>${events.map(row)}</tbody></table></div>
${next !== null && html`<p><a href="${`${path}?before=${next}`}">Older</a></p>`}`

const row = ({ at, action, actor, network, target, detail }: ReadEvent) => html`<tr>
<td>${minute(at)}</td><td class="mono">${action}</td><td><bdi>${actor}</bdi>${network !== null && html` <span class="soft">${network}</span>`}</td>
<td><bdi>${target}</bdi></td><td>${Object.entries(detail).map(([name, value]) => html`<span class="tag">${name}: ${String(value)}</span> `)}</td></tr>`

/** The place in the log that the address names: decimal; null for its end. */
export const placeOf = (query: unknown): string | null =>
  typeof query === 'string' && /^\d{1,18}$/.test(query) ? query : null
