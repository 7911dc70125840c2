import type { Effort, ThinkingType } from './wire.ts'

/** What the API lets one model do. Token counts are whole tokens, days are `YYYY-MM-DD`. */
export interface Model {
  id: string
  alias?: string
  name: string
  line: 'haiku' | 'sonnet' | 'opus' | 'fable' | 'mythos'
  createdOn: string
  lifecycle: 'active' | 'deprecated' | 'retired'
  deprecatedOn?: string
  retiresOn?: string
  contextTokens: number
  maxOutputTokens: number
  /** Values of `thinking.type` that are not answered with 400. */
  thinking: ThinkingType[]
  thinksByDefault: boolean
  /** Whether temperature, top_p and top_k work under `anthropic-version: 2023-06-01`. */
  sampling: boolean
  prefill: boolean
  efforts: Effort[]
  /** Shortest prefix that is cached. Unpublished for the 5.1, 5.2 and 5.5 models: their predecessor's. */
  minCacheTokens: number
  /** Whether `system` messages may stand in `messages`. Unpublished models follow their line. */
  systemMessages: boolean
  /** What happens to a thinking block that another model signed. */
  foreignThinking: 'drop' | 'reject'
  forcedTools: boolean
}

const ALL_EFFORTS: Effort[] = ['low', 'medium', 'high', 'xhigh', 'max']

export const CURRENT = {
  lifecycle: 'active',
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  thinking: ['adaptive', 'disabled'],
  thinksByDefault: true,
  sampling: false,
  prefill: false,
  efforts: ALL_EFFORTS,
  minCacheTokens: 1024,
  systemMessages: true,
  foreignThinking: 'reject',
  forcedTools: true,
} satisfies Partial<Model>

/** The newest generation: thinking cannot be switched off and its blocks are bound to the model. */
export const BOUND = {
  ...CURRENT,
  thinking: ['adaptive'],
  foreignThinking: 'drop',
} satisfies Partial<Model>
export const ALWAYS_THINKING = { ...BOUND, minCacheTokens: 512 } satisfies Partial<Model>

export const V4_6 = {
  ...CURRENT,
  thinking: ['adaptive', 'enabled', 'disabled'],
  thinksByDefault: false,
  sampling: true,
  efforts: ['low', 'medium', 'high', 'max'],
  systemMessages: false,
} satisfies Partial<Model>

export const V4_5 = {
  ...V4_6,
  contextTokens: 200_000,
  maxOutputTokens: 64_000,
  thinking: ['enabled', 'disabled'],
  prefill: true,
  efforts: [],
} satisfies Partial<Model>
