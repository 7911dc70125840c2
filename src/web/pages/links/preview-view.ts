import type { LinkReaders } from '../../../services/conversations/sharing/links.ts'
import type { FoundKey, SnapshotPage } from '../../../services/conversations/sharing/snapshots.ts'
import { type FormState, hidden, summary } from '../../kit/form.ts'
import { type Html, html } from '../../kit/html.ts'
import type { Page } from '../../kit/layout.ts'
import { snapshotView } from '../shared/snapshot-view.ts'
import { linkFields } from './view.ts'

/** A link that is to be made, or, with an id, one that is to show more. */
export type Wanted = {
  id?: string
  readers: LinkReaders
  conversationId: string
  through?: number
}

type PreviewPage = {
  csrfField: Html
  wanted: Wanted
  preview: SnapshotPage & { keys: readonly FoundKey[] }
  maxDays: number
  form: FormState
}

/** The whole text as its readers will see it; the form is at its end. */
export async function previewPage(page: PreviewPage): Promise<Page> {
  const { wanted, preview, form } = page
  const title = wanted.id === undefined ? 'Make a public link' : 'Show more by a link'
  const { nextAfter, throughPosition } = preview
  return {
    title,
    layout: '/account/conversations',
    body: html`<div class="intro"><h1>${title}</h1>
${wanted.readers === 'public' ? warning : html`<p class="soft">Anyone who has the link and signs in here will read this.</p>`}</div>
${summary(form)}
${keysView(preview.keys, wanted, throughPosition)}
<h2>What they will see</h2>
${await snapshotView(preview.messages)}
${
  nextAfter === null
    ? formView(page)
    : html`<p><a href="${pathAfter(wanted, throughPosition, nextAfter)}">More messages, and then the form</a></p>`
}`,
  }
}

const warning = html`<p class="notice warn">Everybody who has the link will read this, without an account. When you end it, archives and people may keep copies that nobody can take back. Read all of it first.</p>`

function keysView(keys: readonly FoundKey[], wanted: Wanted, through: number): Html {
  if (keys.length === 0) return html``
  const rows = keys.map(
    ({ kind, shown, position, role }) =>
      html`<li><a href="${`${pathAfter(wanted, through, pageBefore(position))}#m${position}`}">Message ${position}</a> (${role === 'user' ? 'written by a person' : 'Claude'}): <code>${shown}</code> may be: ${kind}</li>`,
  )
  return html`<section class="notice bad" role="alert"><h2>This looks like secrets</h2>
<ul>${rows}</ul>
<p>Anyone who reads them can use them. Take them back where they were made, or do not make this link.</p></section>`
}

/** Pages begin after an even position. */
const pageBefore = (position: number) => position - (position % 2 === 0 ? 2 : 1)

function pathAfter({ id, conversationId }: Wanted, through: number, after: number): string {
  const place = `through=${through}&after=${after}`
  return id === undefined
    ? `/account/links/public?conversation=${conversationId}&${place}`
    : `/account/links/${id}/update?${place}`
}

function formView({ csrfField, wanted, preview, maxDays, form }: PreviewPage): Html {
  const through = hidden('through', String(preview.throughPosition))
  if (wanted.id !== undefined) {
    return html`<form class="card" method="post" action="/account/links/${wanted.id}/update">${csrfField}${through}
<div class="actions"><button>Show all of this</button><a href="/account/links">Back</a></div></form>`
  }
  return html`<form class="card" method="post" action="/account/links/public">${csrfField}${hidden('conversation', wanted.conversationId)}${through}
${linkFields(form, maxDays)}
<div class="actions"><button>Make it public</button><a href="/account/links">Back</a></div></form>`
}
