import type { Services } from '../../../services/index.ts'
import { count, wordTable } from '../../kit/format.ts'
import { html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

type Counts = Awaited<ReturnType<Services['metrics']['countShares']>>

export const sharesCountPage = (rows: Counts): Page => ({
  title: 'Shares and links',
  layout: '/admin/shares',
  body: html`<div class="intro"><h1>Shares and links</h1>
<p class="soft">How much is shared, and by how many people. Which conversations, and what they are about, is not shown to anybody but those who have access.</p></div>
<section class="card">${wordTable(
    ['With', 'In force', 'Conversations', 'Owners'],
    rows.map(({ kind, shares, conversations, owners }) => [
      KINDS[kind] ?? kind,
      ...[shares, conversations, owners].map(count),
    ]),
  )}</section>`,
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
