/**
 * What is remembered, in bytes of its own. A small buffer is a part of a larger one, which it keeps
 * whole (Node.js documentation: Buffer.poolSize): up to 64 KB for a message of 300 bytes.
 */

import type { SenderContext } from '../../../repositories/billing/sender-context.ts'
import type { TeamPurse } from '../../../repositories/teams/purse-sql.ts'
import type { SendableConversation } from '../../../repositories/turns/load-turn-context.ts'

/** The same bytes: copied where they are a part of Node's pool. */
export function ownBytes<Bytes extends Buffer | null>(bytes: Bytes): Bytes
export function ownBytes(bytes: Buffer | null): Buffer | null {
  if (bytes?.buffer.byteLength !== Buffer.poolSize) return bytes
  const own = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(own)
  return own
}

/** But for the messages, which were read into bytes of their own, or got them one by one. */
export function conversationInOwnBytes(conversation: SendableConversation): SendableConversation {
  const { ref, systemPrompt } = conversation
  const dataKey = ownBytes(ref.dataKey)
  const prompt = ownBytes(systemPrompt)
  if (dataKey === ref.dataKey && prompt === systemPrompt) return conversation
  return { ...conversation, ref: { ...ref, dataKey }, systemPrompt: prompt }
}

export const senderInOwnBytes = (sender: SenderContext): SenderContext => ({
  ...sender,
  userDataKey: ownBytes(sender.userDataKey),
  apiKey: sender.apiKey && { ...sender.apiKey, sealed: ownBytes(sender.apiKey.sealed) },
})

export const purseInOwnBytes = (purse: TeamPurse): TeamPurse => ({
  ...purse,
  dataKey: ownBytes(purse.dataKey),
  key: purse.key && { ...purse.key, sealed: ownBytes(purse.key.sealed) },
})
