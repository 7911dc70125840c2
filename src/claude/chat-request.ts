import type { Turn } from './content.ts'
import type { Effort, ModelInfo } from './models.ts'

/** One call to Claude in the gateway's terms; request.ts converts it to Anthropic's. */
export interface ChatRequest {
  model: string
  /** Undefined for a model that the gateway does not know. */
  info: ModelInfo | undefined
  /** Complete turns, oldest first. */
  history: Turn[]
  message: string
  system?: string
  maxTokens: number
  temperature?: number
  stopSequences?: string[]
  thinking: 'off' | 'adaptive'
  effort?: Effort
  /** An opaque hash, for `metadata.user_id`: never a name or an address. */
  endUserId: string
}
