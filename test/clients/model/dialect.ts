/** One API's way of asking a model and of hearing it. */

type Json = ReturnType<typeof JSON.parse>

/** Some APIs put the tools of one server into a namespace. */
export type Tool = { name: string; namespace?: string }

/** What was asked. */
export type Asked = {
  tools: readonly Tool[]
  /** All text of the user's last turn. */
  lastText: string
  /** Set where the last turn is a tool's answer. */
  toolResult: string | undefined
}

/** What the model says: a tool call, or text. */
export type Saying =
  | { call: Tool & { args: Record<string, unknown> }; text?: never }
  | { text: string; call?: never }

export type Dialect = {
  read(body: Json): Asked
  isStreamed(body: Json, path: string): boolean
  /** As server-sent events. */
  stream(saying: Saying, body: Json): string
  /** As one JSON document. */
  whole(saying: Saying, body: Json): unknown
}

export const event = (data: unknown, name?: string) =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`

/** All text in whatever shape a content has. */
export function textOf(content: Json): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content)) return content.map(textOf).join('\n')
  return content?.text ?? (content?.content === undefined ? '' : textOf(content.content))
}

export type { Json }
