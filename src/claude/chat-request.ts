import type { Turn } from './content.ts'
import type { Effort, ModelInfo } from './models.ts'

/** One call to Claude, in the gateway's words: request.ts makes Anthropic's of it. */
export interface ChatRequest {
  model: string
  /** What the gateway knows of the model; undefined for one it does not know. */
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
