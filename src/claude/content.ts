/**
 * A block of a message, as Anthropic sends and takes them. Only the fields the gateway reads are
 * named; the rest is kept as it came (Anthropic API docs: Messages).
 */
export interface ContentBlock {
  type: string
  text?: string
  thinking?: string
  signature?: string
  [field: string]: unknown
}

/** A stored message. An assistant's content is exactly what was streamed. */
export interface Turn {
  role: 'user' | 'assistant'
  content: ContentBlock[]
}
