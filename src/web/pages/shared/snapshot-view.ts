import { mapInSlices } from '../../../concurrency/slices.ts'
import type { ShownMessage } from '../../../services/conversations/sharing/snapshots.ts'
import { type Html, html } from '../../kit/html.ts'
import { PageOfMarkdown, verbatim } from '../../markdown/markdown.ts'

/** Parsing a text takes about so many times longer than unsealing it. */
const COST_OF_PARSING = 32

/**
 * Messages as the readers of a link see them, oldest first: neither who wrote them nor when. Claude's
 * are Markdown. What people wrote stays as they typed it.
 */
export async function snapshotView(messages: readonly ShownMessage[]): Promise<Html[]> {
  const texts = new PageOfMarkdown()
  const costOf = ({ text }: ShownMessage) => text.length * COST_OF_PARSING
  return mapInSlices(messages, costOf, (message) => messageView(message, texts))
}

function messageView(message: ShownMessage, texts: PageOfMarkdown): Html {
  const { position, role, status, text, isCut } = message
  const isAnswer = role === 'assistant'
  return html`<article class="message ${role}" id="m${position}">
<h2>${isAnswer ? 'Claude' : 'Message'}</h2>
${isAnswer ? texts.show(text) : verbatim(text)}
${isCut && html`<p class="soft">The rest of this message is too long for a page.</p>`}
${isAnswer && status !== 'complete' && html`<p class="ending"><span class="tag warn">${ENDINGS[status]}</span></p>`}
</article>`
}

const ENDINGS: Record<Exclude<ShownMessage['status'], 'complete'>, string> = {
  refused: 'Claude declined to answer.',
  failed: 'There is no complete answer.',
  cancelled: 'This answer was stopped.',
  interrupted: 'This answer was interrupted.',
}
