import { type Oddity, oddDelta, oddStart } from './oddity.ts'
import type { CacheUsage } from './prompt-cache.ts'
import type { Answer } from './reply.ts'

/** An answer with everything its JSON form and its stream have in common. */
export interface FinishedMessage {
  id: string
  requestId: string
  modelId: string
  answer: Answer
  cache: CacheUsage
  /** Where it runs; null: anywhere. */
  geo: string | null
  /** What it calls its model, if not by its id. */
  calledModel: unknown
  oddity: Oddity | undefined
  alsoUsed: Record<string, unknown>
}

/** The body of a non-streaming response. */
export function messageJson(message: FinishedMessage): string {
  const { answer } = message
  return JSON.stringify({
    ...envelope(message),
    content: answer.blocks.map(({ block }) => block),
    stop_reason: answer.stopReason,
    stop_sequence: answer.stopSequence,
    stop_details: answer.stopDetails,
    usage: {
      ...inputUsage(message),
      output_tokens: answer.outputTokens,
      output_tokens_details: outputDetails(answer),
      ...message.alsoUsed,
    },
  })
}

/** The `message` of `message_start`: input usage is known, output has only begun. */
export function messageStart(message: FinishedMessage) {
  return {
    ...envelope(message),
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage: oddStart(
      { ...inputUsage(message), output_tokens: 1, output_tokens_details: null },
      message.oddity,
    ),
  }
}

/** The usage of `message_delta`: cumulative, without the split of cache writes by TTL. */
export function finalUsage({ cache, answer, oddity, alsoUsed }: FinishedMessage): unknown {
  const usage = {
    input_tokens: cache.inputTokens,
    cache_creation_input_tokens: cache.creation5mTokens + cache.creation1hTokens,
    cache_read_input_tokens: cache.readTokens,
    output_tokens: answer.outputTokens,
    output_tokens_details: outputDetails(answer),
    server_tool_use: null,
    ...alsoUsed,
  }
  return oddDelta(usage, oddity)
}

function envelope({ id, modelId, calledModel }: FinishedMessage) {
  return {
    id,
    type: 'message',
    role: 'assistant',
    model: calledModel === undefined ? modelId : calledModel,
    container: null,
    diagnostics: null,
  }
}

function inputUsage({ cache, geo, alsoUsed }: FinishedMessage) {
  return {
    input_tokens: cache.inputTokens,
    cache_creation_input_tokens: cache.creation5mTokens + cache.creation1hTokens,
    cache_read_input_tokens: cache.readTokens,
    cache_creation: {
      ephemeral_5m_input_tokens: cache.creation5mTokens,
      ephemeral_1h_input_tokens: cache.creation1hTokens,
    },
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: geo,
    speed: alsoUsed.speed ?? 'standard',
  }
}

function outputDetails({ thinkingTokens }: Answer) {
  return thinkingTokens > 0 ? { thinking_tokens: thinkingTokens } : null
}
