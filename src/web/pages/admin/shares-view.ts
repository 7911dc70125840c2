import type { Services } from '../../../services/index.ts'
import { count } from '../../kit/format.ts'
import { html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Counts = Awaited<ReturnType<Services['metrics']['countShares']>>

export const sharesCountPage = (rows: Counts): Page => ({
  title: 'Shares and links',
  layout: '/admin/shares',
  body: html`<div class="intro"><h1>Shares and links</h1>
<p class="soft">How much is shared, and by how many people. Which conversations, and what they are about, is not shown to anybody but those who have access.</p></div>
<section class="card"><div class="scroll"><table><thead><tr><th>With</th><th>In force</th><th>Conversations</th><th>Owners</th></tr></thead>
<tbody>${rows.map(
    ({ kind, shares, conversations, owners }) => html`<tr><td>${KINDS[kind] ?? kind}</td>
<td>${count(shares)}</td><td>${count(conversations)}</td><td>${count(owners)}</td></tr>`,
  )}</tbody></table></div></section>`,
})

const KINDS: Record<string, string> = {
  person: 'a person',
  pending: 'a person who has not accepted yet',
  team: 'a team',
  everybody: 'everybody here',
  'link everybody': 'everybody with the link and an account',
  'link public': 'everybody with the link',
  'link team': 'a team, by a link',
}
