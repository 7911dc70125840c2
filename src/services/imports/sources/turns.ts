/** Makes whole turns, user first, of messages in any order of roles. */

import type { ContentBlock } from '../../../claude/content.ts'
import { isBlank } from '../../../text/blank-text.ts'
import type { EndedStatus } from '../../conversations/conversation-document.ts'
import { textOf } from '../../keys/vault.ts'
import type { DraftMessage } from './draft.ts'
import { laterOf } from './times.ts'

const BEGAN_WITH_ANSWER = '(conversation began with an answer)'
const EMPTY_LINE: ContentBlock = { type: 'text', text: '\n\n' }

type Given = {
  role: 'user' | 'assistant'
  content: ContentBlock[]
  /** Undefined: unknown, as the message before. */
  createdAt: Date | undefined
  status?: EndedStatus
}

export class Turns {
  readonly messages: DraftMessage[] = []
  #time: Date

  /** @param beganAt no message is older. */
  constructor(beganAt: Date) {
    this.#time = beganAt
  }

  /** Neighbours of one role are joined with an empty line. A message without text is left out. */
  addText(role: Given['role'], text: string, createdAt: Date | undefined): void {
    if (isBlank(text)) return
    const last = this.messages.at(-1)
    const only = last?.role === role ? last.content[0] : undefined
    if (only) only.text = `${only.text}\n\n${text}`
    else this.addBlocks({ role, content: [{ type: 'text', text }], createdAt })
  }

  /** The same with blocks, which stay as they are, and also when there are none. */
  addBlocks({ role, content, createdAt, status = 'complete' }: Given): void {
    this.#time = laterOf(this.#time, createdAt)
    const last = this.messages.at(-1)
    if (last?.role === role) {
      if (last.content.length > 0 && content.length > 0) last.content.push(EMPTY_LINE)
      for (const block of content) last.content.push(block)
      return
    }
    if (last === undefined && role === 'assistant') this.#push('user', began(), status)
    this.#push(role, content, status)
  }

  /** A last question without an answer counts as interrupted. */
  whole(): DraftMessage[] {
    if (this.messages.at(-1)?.role === 'user') this.#push('assistant', [], 'interrupted')
    for (let at = 0; at < this.messages.length; at += 2) {
      const [question, answer] = this.messages.slice(at, at + 2) as [DraftMessage, DraftMessage]
      question.status = answer.status
    }
    return this.messages
  }

  get hasText(): boolean {
    return this.messages.some(({ content }) => !isBlank(textOf(content)))
  }

  #push(role: Given['role'], content: ContentBlock[], status: EndedStatus): void {
    this.messages.push({ role, content, status, createdAt: this.#time })
  }
}

const began = () => [{ type: 'text', text: BEGAN_WITH_ANSWER }]
