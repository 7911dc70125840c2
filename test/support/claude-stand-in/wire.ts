/*
 * The request as it arrives. Only what the stand-in acts on is named; the validation rules
 * establish these shapes before anything else reads them.
 */
export const API_VERSIONS = ['2023-06-01', '2026-10-21'] as const
export type ApiVersion = (typeof API_VERSIONS)[number]
export type Endpoint = 'messages' | 'count_tokens'

export interface CacheControl {
  type: 'ephemeral'
  ttl?: '5m' | '1h'
}

export interface ContentBlock {
  type: string
  text?: string
  thinking?: string
  signature?: string
  cache_control?: CacheControl | null
  [field: string]: unknown
}

export interface WireMessage {
  role: string
  content: string | ContentBlock[]
}

export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max'
export type ThinkingType = 'adaptive' | 'between_tools' | 'disabled' | 'enabled'

export interface MessagesRequest {
  model: string
  max_tokens: number
  messages: WireMessage[]
  system?: string | ContentBlock[] | null
  stream?: boolean | null
  stop_sequences?: string[] | null
  metadata?: { user_id?: string | null } | null
  thinking?: { type: ThinkingType; display?: string | null; budget_tokens?: number } | null
  output_config?: { effort?: Effort | null; format?: unknown } | null
  cache_control?: CacheControl | null
  tools?: ContentBlock[] | null
  tool_choice?: { type: string } | null
  speed?: string | null
  service_tier?: string | null
  temperature?: number | null
  top_p?: number | null
  top_k?: number | null
  [field: string]: unknown
}

/** String content is shorthand for one text block. */
export function blocksOf(content: string | ContentBlock[] | null | undefined): ContentBlock[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }]
  return content ?? []
}
