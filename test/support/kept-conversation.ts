/** Conversations as the gateway stores them, made without a call to Claude for each of their turns. */

import { newId } from '../../src/crypto/random.ts'
import { vaultOf } from '../mcp/vault-of.ts'
import type { TestApp } from './start-app.ts'

const MODEL = 'claude-sonnet-5'
const PERIODS = { day: '2026-11-22', month: '2026-11-01' }
const NO_LIMIT = { nanoUsd: null, tokens: null }
const LIMITS = { day: NO_LIMIT, month: NO_LIMIT, connectionNanoUsd: null }
const WORST = {
  inputTokens: 0,
  inputNanoUsd: 0n,
  outputNanoUsd: null,
  maxTokens: 0,
  leastTokens: 0,
  likelyInputTokens: 0,
}
const END = {
  status: 'failed',
  content: null,
  stopSequence: null,
  model: MODEL,
  tokenCount: 0,
  result: null,
  errorCode: null,
  requestId: null,
  durationMs: 0,
  upstreamMs: 0,
  keepIdempotencyKey: false,
} as const

/** A conversation with one turn, which failed, for each of the messages. @returns its id. */
export async function keepConversation(
  app: TestApp,
  userId: string,
  messages: readonly string[],
): Promise<string> {
  const { turnBeginnings, turnEndings } = app.app.repositories
  const conversationId = newId()
  const { wrapped, vault } = (await vaultOf(app)).createConversationKey(conversationId, userId)
  const opening = { dataKey: wrapped, title: vault.sealTitle('kept'), model: MODEL }
  for (const [turn, text] of messages.entries()) {
    const [userMessageId, answerId] = [newId(), newId()]
    const verdict = await turnBeginnings.begin({
      userId,
      sessionId: newId(),
      isConnection: false,
      conversationId,
      opening: turn === 0 ? opening : null,
      messageCount: turn * 2,
      systemPrompt: undefined,
      userMessageId,
      answerId,
      content: vault.sealContent(userMessageId, [{ type: 'text', text }]),
      tokenCount: 1,
      model: MODEL,
      idempotencyHash: null,
      requestFingerprint: null,
      replicaId: newId(),
      leaseSeconds: 3600,
      tag: null,
      periods: PERIODS,
      limits: LIMITS,
      worst: WORST,
    })
    if (verdict.outcome !== 'begun') throw new Error(verdict.outcome)
    await turnEndings.end({
      answerId,
      conversationId,
      userId,
      end: END,
      reservation: { ...PERIODS, nanoUsd: '0', tokens: 0, likelyInputTokens: 0 },
      spent: { nanoUsd: 0n, tokens: 0 },
      ledgerRow: null,
      limits: LIMITS,
      leastPercent: 100,
      changes: {},
    })
  }
  return conversationId
}
