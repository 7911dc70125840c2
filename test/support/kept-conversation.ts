/** Conversations as the gateway stores them, made without a call to Claude for each of their turns. */

import { newId } from '../../src/crypto/random.ts'
import { vaultOf } from '../mcp/vault-of.ts'
import { bareEnd, bareTurn } from './bare-turns.ts'
import type { TestApp } from './start-app.ts'

/**
 * A conversation with one turn for each of the messages: failed, or with an answer where that is given.
 *
 * @returns its id.
 */
export async function keepConversation(
  app: TestApp,
  userId: string,
  messages: readonly string[],
  answers?: string,
): Promise<string> {
  const { sessions, turnBeginnings, turnEndings } = app.app.repositories
  const [session] = await sessions.listLive(userId, 1)
  const first = bareTurn(userId, session?.id)
  const { conversationId, model } = first
  const { wrapped, vault } = (await vaultOf(app)).createConversationKey(conversationId, userId)
  const opening = { dataKey: wrapped, model }
  for (const [index, text] of messages.entries()) {
    const [userMessageId, answerId] = [newId(), newId()]
    const turn = {
      ...first,
      opening: index === 0 ? opening : null,
      title: index === 0 ? vault.sealTitle('kept') : null,
      messageCount: index * 2,
      userMessageId,
      answerId,
      content: vault.sealContent(userMessageId, [{ type: 'text', text }]),
    }
    const verdict = await turnBeginnings.begin(turn)
    if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
    const end = bareEnd(turn, verdict)
    if (answers === undefined) await turnEndings.end(end)
    else {
      const content = vault.sealContent(answerId, [{ type: 'text', text: answers }])
      await turnEndings.end({ ...end, end: { ...end.end, status: 'complete', content } })
    }
  }
  return conversationId
}
