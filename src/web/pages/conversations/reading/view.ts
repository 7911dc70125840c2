import type { ConversationHead } from '../../../../services/conversations/conversation-heads.ts'
import type { Services } from '../../../../services/index.ts'
import { type FormState, hidden, summary, textArea } from '../../../kit/form.ts'
import { count, fact, minute } from '../../../kit/format.ts'
import { type Html, html } from '../../../kit/html.ts'
import type { Page } from '../../../kit/layout.ts'
import { verbatim } from '../../../markdown/markdown.ts'
import type { Purses } from '../../teams/purses.ts'
import { manage } from '../changing/view.ts'
import { tags } from '../list/view.ts'
import { costBox } from '../sending/cost-box.ts'
import { messageKey } from '../sending/message-key.ts'
import { payerSelect } from '../sending/payer.ts'
import { shownTitle } from '../shown-title.ts'
import { pathOf } from './address.ts'
import { messagesView } from './messages-view.ts'

type History = Awaited<ReturnType<Services['conversations']['history']>>

type ReadingPage = {
  csrfField: Html
  notice: Html | undefined
  head: ConversationHead
  history: History
  /** The visitor's username. */
  reader: string
  isSharingOn: boolean
  /** Teams of the visitor that can pay for their messages. */
  teams: Purses
  /** Whether the page ends with the newest message. */
  isNewest: boolean
  form: FormState
}

export async function readingPage(given: ReadingPage): Promise<Page> {
  const { csrfField, head, history, isNewest, form } = given
  const title = shownTitle(head.title)
  const path = pathOf(head.id)
  const { role, runningMessageId } = head
  const mayEdit = isNewest && role !== 'viewer' && runningMessageId === null
  const messages = await messagesView(history.messages, {
    reader: given.reader,
    path,
    csrfField,
    mayEdit,
  })
  return {
    title,
    layout: '/account/conversations',
    body: html`<div class="intro"><p><a href="/account/conversations">All conversations</a></p>
<h1><bdi>${title}</bdi>${tags(head)}${head.isHidden && html` <span class="tag">hidden</span>`}</h1>
${about(head)}
<p>Download: <a href="${`${path}/export?format=markdown`}">Markdown</a>, <a href="${`${path}/export?format=json`}">JSON</a></p>
${given.isSharingOn && role === 'owner' && html`<p><a href="${`/account/shares?conversation=${head.id}`}">Share</a></p>`}</div>
${given.notice}${summary(form)}
${manage({ head, csrfField, teams: given.teams, form })}
${history.nextBefore !== null && html`<p><a href="${`${path}?before=${history.nextBefore}`}">Older messages</a></p>`}
${messages}
${isNewest ? goOn(given, path) : html`<p><a href="${path}#latest">To the newest messages</a></p>`}`,
  }
}

const about = (head: ConversationHead) => html`
<dl class="facts">
${head.role !== 'owner' && html`${fact('Owner', html`<bdi>${head.owner}</bdi>`)}${fact('Your role', head.role)}`}
${fact('Begun', minute(head.createdAt))}
${fact('Messages', count(head.messageCount))}
${fact('Model', head.model)}
${head.payment?.team != null && fact('Paid by', html`<bdi>${head.payment.team}</bdi>${head.payment.isTeamOnly && ' (with no other key)'}`)}
${head.branchedFrom && fact('Copied from', origin(head.branchedFrom.conversationId))}
</dl>
${head.systemPrompt !== null && html`<details><summary>System prompt</summary><div class="card">${verbatim(head.systemPrompt)}</div></details>`}`

/** @param id null for what a link showed. */
const origin = (id: string | null) =>
  id === null ? 'a shared conversation' : html`<a href="${pathOf(id)}">another conversation</a>`

/** What was typed is shown again, also where it cannot be sent any more, or not yet. */
function goOn(given: ReadingPage, path: string): Html {
  const { csrfField, head, form } = given
  const again = Boolean(form.values.message) && messageForm(given, path)
  if (head.role === 'viewer')
    return html`<p class="soft">You may read this conversation. To go on in it, make a copy of your own.</p>${again}`
  if (head.runningMessageId !== null) {
    return html`<form method="post" action="${path}/stop">${csrfField}${hidden('message_id', head.runningMessageId)}
<div class="actions"><button class="second">Stop Claude</button><a href="${path}#latest">Look again</a></div></form>${again}`
  }
  return messageForm(given, path)
}

const messageForm = ({ csrfField, head, teams, form }: ReadingPage, path: string) => html`<form
 class="card" method="post" action="${path}/messages">${csrfField}${messageKey()}
${textArea({ name: 'message', rows: 4 }, form)}
${payerSelect({ teams, head }, form)}
${costBox(form)}
<button class="start">Send</button></form>`
