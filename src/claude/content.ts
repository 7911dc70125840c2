/**
 * A block of a message in Anthropic's format. Only the fields that the gateway reads are named; the
 * rest is kept unchanged (Anthropic API docs: Messages).
 */
export interface ContentBlock {
  type: string
  text?: string
  thinking?: string
  signature?: string
  [field: string]: unknown
}

/** A stored message. An assistant's content is exactly as streamed. */
export interface Turn {
  role: 'user' | 'assistant'
  content: ContentBlock[]
}
