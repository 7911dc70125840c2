import type { ConversationHead } from '../../../../services/conversations/conversation-heads.ts'
import { type FormState, summary, textArea } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import type { Purses } from '../../teams/purses.ts'
import { costBox } from './cost-box.ts'
import { messageKey } from './message-key.ts'
import { payerSelect } from './payer.ts'

type EditPage = {
  csrfField: Html
  path: string
  messageId: string
  head: ConversationHead
  /** Teams of the visitor. */
  teams: Purses
  form: FormState
}

export const editPage = ({ csrfField, path, messageId, head, teams, form }: EditPage): Page => ({
  title: 'Edit a message',
  layout: '/account/conversations',
  body: html`<div class="intro"><h1>Edit a message</h1>
<p class="soft">It is sent in a copy of all that came before it. The conversation as it is now stays.</p></div>
${summary(form)}
<form class="card" method="post" action="${`${path}/edit/${messageId}`}">${csrfField}${messageKey()}
${textArea({ name: 'message', rows: 8 }, form)}
${payerSelect({ teams, head, isInCopy: true }, form)}
${costBox(form)}
<div class="actions"><button>Send</button><a href="${path}#latest">Back</a></div></form>`,
})
