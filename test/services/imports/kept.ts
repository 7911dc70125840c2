/** What a user keeps, as the gateway exports it. */

import { text } from 'node:stream/consumers'
import { ConversationDocument } from '../../../src/services/conversations/conversation-document.ts'
import { browserSession } from '../../support/signed-up.ts'
import type { TestApp } from '../../support/start-app.ts'

/** All conversations of a user, in the order in which they were stored. */
export async function documentsOf(app: TestApp, userId: string): Promise<ConversationDocument[]> {
  const rows = await app.app.db
    .selectFrom('conversations')
    .select('id')
    .where('userId', '=', userId)
    .orderBy('id')
    .execute()
  const caller = await browserSession(app, userId)
  const documents: ConversationDocument[] = []
  for (const { id } of rows) {
    const pieces = app.app.services.conversationExport.stream(caller, id, 'json')
    documents.push(ConversationDocument.parse(JSON.parse(await text(pieces))))
  }
  return documents
}

/** For comparing two of one content, whose ids differ. */
export const withoutIds = ({ conversation, messages }: ConversationDocument) => ({
  title: conversation.title,
  systemPrompt: conversation.system_prompt,
  messages: messages.map(({ id: _id, model: _model, ...message }) => message),
})

export const fileOf = (documents: readonly ConversationDocument[]) =>
  Buffer.from(JSON.stringify(documents))
