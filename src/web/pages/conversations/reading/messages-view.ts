import { mapInSlices } from '../../../../concurrency/slices.ts'
import type { Services } from '../../../../services/index.ts'
import { minute } from '../../../kit/format.ts'
import { type Html, html } from '../../../kit/html.ts'
import { PageOfMarkdown, verbatim } from '../../../markdown/markdown.ts'
import { anchorOf } from './address.ts'
import { editing, goOnFrom } from './turn-actions.ts'

export type ReadMessage = Awaited<
  ReturnType<Services['conversations']['history']>
>['messages'][number]

/** Parsing a text takes about so many times longer than unsealing it. */
const COST_OF_PARSING = 32

/**
 * Messages, oldest first; other requests run in between. Claude's are Markdown. What people wrote
 * stays as they typed it.
 */
export async function messagesView(
  messages: readonly ReadMessage[],
  page: ReadingVisitor,
): Promise<Html[]> {
  const texts = new PageOfMarkdown()
  const costOf = ({ content }: ReadMessage) => content.length * COST_OF_PARSING
  // The newest are the likeliest to be read.
  const newestFirst = await mapInSlices(messages.toReversed(), costOf, (message) =>
    messageView(message, { ...page, texts, place: placeOf(message, messages) }),
  )
  return newestFirst.toReversed()
}

export type ReadingVisitor = {
  /** Username. */
  reader: string
  /** Of the conversation. */
  path: string
  csrfField: Html
  /** Whether the newest message may be sent otherwise. */
  mayEdit: boolean
}

/** The newest turn is one message of the user and its answer. */
type Place = 'older' | 'question' | 'latest'

type Around = ReadingVisitor & { texts: PageOfMarkdown; place: Place }

function placeOf(message: ReadMessage, messages: readonly ReadMessage[]): Place {
  if (message === messages.at(-1)) return 'latest'
  return message === messages.at(-2) && message.role === 'user' ? 'question' : 'older'
}

function messageView(message: ReadMessage, around: Around): Html {
  const { texts, reader, place } = around
  const { role, content, status, createdAt, finishedAt, model, sender } = message
  const isAnswer = role === 'assistant'
  const at = isAnswer ? (finishedAt ?? createdAt) : createdAt
  const author = sender === reader ? 'You' : html`<bdi>${sender ?? 'Another user'}</bdi>`
  return html`<article class="message ${role}"${place === 'latest' && html` id="latest"`}>
<h2 id="${anchorOf(message.id)}">${isAnswer ? 'Claude' : author} <span class="soft">${minute(at)}${isAnswer && ` · ${model}`}</span></h2>
${isAnswer ? texts.show(content) : verbatim(content)}
${message.nextOffset !== null && html`<p class="soft">The rest of this message is too long for a page.</p>`}
${isAnswer && statusLine(status, message.errorCode)}
${isAnswer && status !== 'running' && goOnFrom(message.id, around)}
${place === 'question' && around.mayEdit && content !== '' && editing(message, around)}
</article>`
}

const ENDINGS: Record<Exclude<ReadMessage['status'], 'complete'>, string> = {
  running: 'Claude is writing. This page shows more every few seconds.',
  refused: 'Claude declined to answer.',
  failed: 'There is no complete answer.',
  cancelled: 'You stopped this answer.',
  interrupted: 'The gateway was stopped while Claude was answering.',
}

function statusLine(status: ReadMessage['status'], errorCode: string | null): Html {
  if (status === 'complete') return html``
  if (status === 'running')
    return html`<p role="status"><span class="tag">${ENDINGS.running}</span></p>`
  const why = status === 'failed' && errorCode !== null ? ` (${errorCode})` : ''
  return html`<p class="ending"><span class="tag warn">${ENDINGS[status]}${why}</span>
<span class="soft">Claude does not see this turn when you go on.</span></p>`
}
