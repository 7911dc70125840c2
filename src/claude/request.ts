import { isBlank } from '../text/blank-text.ts'
import type { ChatRequest } from './chat-request.ts'
import type { ContentBlock, Turn } from './content.ts'
import { replayHistory, textBlock } from './history.ts'
import type { Effort, ThinkingType } from './models.ts'
import { chooseEffort, chooseTemperature, chooseThinking, clampMaxTokens } from './parameters.ts'

/** The version that still accepts sampling parameters, and the one for all other requests. */
type ApiVersion = '2023-06-01' | '2026-10-21'

/** The body of `POST /v1/messages` (Anthropic API docs: Messages). */
interface MessageBody {
  model: string
  max_tokens: number
  messages: Turn[]
  stream: true
  metadata: { user_id: string }
  system?: ContentBlock[]
  temperature?: number
  stop_sequences?: string[]
  thinking?: { type: ThinkingType }
  output_config?: { effort: Effort }
  cache_control?: { type: 'ephemeral' }
}

export interface BuiltRequest {
  body: MessageBody
  apiVersion: ApiVersion
  /** What was changed in the request, for the person who sent it. */
  warnings: string[]
}

/**
 * Builds the request for one chat turn. Parameters that the model would refuse are left out or
 * limited, with a warning for each.
 *
 * The same history gives the same bytes, so that each turn reads its predecessors from the prompt
 * cache (Anthropic API docs: Prompt caching). A first message sets no cache mark: cache writes cost
 * a quarter more, and most conversations never have a second message.
 */
export function buildRequest(chat: ChatRequest): BuiltRequest {
  const warnings: string[] = []
  const past = replayHistory(chat.history)
  const thinking = chooseThinking(chat, warnings)
  const effort = chooseEffort(chat, thinking, warnings)
  const temperature = chooseTemperature(chat, thinking, warnings)
  const body: MessageBody = {
    model: chat.model,
    max_tokens: clampMaxTokens(chat, warnings),
    ...(isBlank(chat.system ?? '') ? {} : { system: [textBlock(chat.system ?? '')] }),
    messages: [...past, { role: 'user', content: [textBlock(chat.message)] }],
    ...(temperature === undefined ? {} : { temperature }),
    ...(chat.stopSequences?.length ? { stop_sequences: chat.stopSequences } : {}),
    ...(thinking === undefined ? {} : { thinking: { type: thinking } }),
    ...(effort === undefined ? {} : { output_config: { effort } }),
    ...(past.length === 0 ? {} : { cache_control: { type: 'ephemeral' as const } }),
    metadata: { user_id: chat.endUserId },
    stream: true,
  }
  return { body, apiVersion: temperature === undefined ? '2026-10-21' : '2023-06-01', warnings }
}

/** The same request for a model that has refused a temperature. */
export function withoutTemperature({ body, warnings }: BuiltRequest): BuiltRequest {
  const { temperature: _, ...rest } = body
  return { body: rest, apiVersion: '2026-10-21', warnings }
}
