import type { ConversationHead } from '../../../../services/conversations/conversation-heads.ts'
import { type FormState, field, hidden } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Purses } from '../../teams/purses.ts'
import { pathOf } from '../reading/address.ts'
import { shownTitle } from '../shown-title.ts'
import { paymentForms } from './payment-view.ts'

/** The same as update_conversation has. */
export const MOST_TITLE_CHARACTERS = 200

type Managed = { head: ConversationHead; csrfField: Html; teams: Purses; form: FormState }

/** What can be done with a conversation, besides going on in it. Opened where a name was refused. */
export function manage({ head, csrfField, teams, form }: Managed): Html {
  const path = pathOf(head.id)
  const isOwner = head.role === 'owner'
  const label = isOwner ? 'Rename, archive, copy or delete' : 'Archive, hide or copy'
  return html`<details${form.errors.title !== undefined && html` open`}><summary>${label}</summary><div class="card">
${isOwner && renameForm(path, shownTitle(head.title), csrfField, form)}
<div class="actions">
<form class="inline" method="post" action="${path}/archive">${csrfField}${hidden('archived', head.isArchived ? 'no' : 'yes')}
<button class="second small">${head.isArchived ? 'Take back from the archive' : 'Archive'}</button></form>
<form class="inline" method="post" action="${path}/branch">${csrfField}
<button class="second small">Copy all of it</button></form>
${!isOwner && hideForm(head.id, head.isHidden, csrfField)}
${isOwner && html`<a href="${path}/delete">Delete…</a>`}
</div>
${isOwner && paymentForms({ head, csrfField, teams })}
${!isOwner && html`<p class="soft">Archiving and hiding take it out of your own lists only. What is hidden is <a href="/account/shares">among your shares</a>. A copy is yours, and private.</p>`}
</div></details>`
}

/** For one who is not its owner; it takes it back where it is hidden. */
export const hideForm = (id: string, isHidden: boolean, csrfField: Html) => html`<form
 class="inline" method="post" action="${pathOf(id)}/hide">${csrfField}${hidden('hidden', isHidden ? 'no' : 'yes')}
<button class="second small">${isHidden ? 'Show in your lists' : 'Hide'}</button></form>`

const renameForm = (path: string, title: string, csrfField: Html, form: FormState) => html`<form
 method="post" action="${path}/title">${csrfField}
${field(
  { name: 'title', label: 'Title', autocomplete: 'off', maxLength: MOST_TITLE_CHARACTERS },
  { values: { title, ...form.values }, errors: form.errors },
)}
<button class="second small start">Rename</button></form>`
