import type { ReadEvent } from '../../../services/audit/audit-reading.ts'
import { eventsTable } from '../../kit/events.ts'
import { minute } from '../../kit/format.ts'
import { html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'

export const auditPage = (
  events: { events: readonly ReadEvent[]; next: string | null },
  checkpoints: readonly { at: Date; text: string }[],
): Page => ({
  title: 'Audit',
  layout: '/admin/audit',
  body: html`<div class="intro"><h1>Audit</h1>
<p class="soft">What was done in the installation. Each team has a log of its own. It holds no text, titles or names: names are looked up as you read.</p></div>
<section class="card" aria-labelledby="events"><h2 id="events">Events</h2>${eventsTable(events, '/admin/audit')}</section>
<section class="card" aria-labelledby="checkpoints"><h2 id="checkpoints">Checkpoints</h2>
<p class="soft">A checkpoint that is kept elsewhere shows later whether anything before it was changed: <code>npm run admin -- audit verify --checkpoint FILE</code>.</p>
${checkpoints.map(({ at, text }) => html`<h3>${minute(at)}</h3><pre class="verbatim">${text}</pre>`)}</section>`,
})
