import type { DeletedConversation } from '../../../../services/conversations/conversation-deletion.ts'
import { counted } from '../../../kit/format.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import { pathOf } from '../reading/address.ts'
import { shownTitle } from '../shown-title.ts'

type DeletionPage = { csrfField: Html; id: string; title: string; counts: DeletedConversation }

export const deletionPage = ({ csrfField, id, title, counts }: DeletionPage): Page => ({
  title: 'Delete a conversation',
  layout: '/account/conversations',
  body: html`<div class="intro"><h1>Delete <bdi>${shownTitle(title)}</bdi>?</h1></div>
<form class="card danger" method="post" action="${pathOf(id)}/delete">${csrfField}
<p>It is deleted at once and for ever: there is no trash.</p>
<ul class="steps">
<li>${counted(counts.messages, 'message')} will be deleted. An answer that is running is stopped.</li>
<li>${endings(counts.linksEnded)}</li>
<li>${remaining(counts.branchesLeft)}</li>
<li>What it cost stays in your usage.</li>
</ul>
<div class="actions"><button class="harm">Delete for ever</button><a href="${pathOf(id)}">Keep it</a></div>
</form>`,
})

const endings = (shares: number) =>
  shares === 0
    ? 'It is not shared.'
    : `${counted(shares, 'share')} will end: the people it is shared with lose it too.`

const remaining = (branches: number) =>
  branches === 0
    ? 'There are no copies of it.'
    : `${counted(branches, 'copy', 'copies')} made from it will stay, those of other people included.`
