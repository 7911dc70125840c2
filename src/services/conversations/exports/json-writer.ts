import {
  type ConversationDocument,
  DOCUMENT_FORMAT,
  DOCUMENT_VERSION,
} from '../conversation-document.ts'
import type { Writer, WrittenMessage } from './writer.ts'

/** The gateway's own format, which an import reads. */
export const jsonWriter: Writer = {
  head({ id, title, systemPrompt, model, createdAt, updatedAt }) {
    const conversation: ConversationDocument['conversation'] = {
      id,
      title,
      system_prompt: systemPrompt,
      model,
      created_at: createdAt.toISOString(),
      updated_at: updatedAt.toISOString(),
    }
    const head = { format: DOCUMENT_FORMAT, version: DOCUMENT_VERSION, conversation }
    return `${JSON.stringify(head).slice(0, -1)},"messages":[`
  },
  message: (message, isFirst) => `${isFirst ? '' : ','}\n${JSON.stringify(toMessage(message))}`,
  tail: '\n]}\n',
}

const toMessage = (message: WrittenMessage): ConversationDocument['messages'][number] => ({
  id: message.id,
  role: message.role,
  status: message.status,
  content: [...message.blocks],
  model: message.model,
  created_at: message.createdAt.toISOString(),
})
