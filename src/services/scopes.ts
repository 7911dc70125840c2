/** What a connection or a personal token may do. Names as they stand in tokens and on the pages. */

export const SCOPES = {
  'conversations:read': 'Read your conversations',
  'messages:send': 'Send messages to Claude, billed to your Anthropic key',
  'usage:read': 'See your usage and budget',
  account: 'Change your account: Anthropic key, password, sessions, deletion',
} as const

export type Scope = keyof typeof SCOPES

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[]

export const isScope = (name: string): name is Scope => Object.hasOwn(SCOPES, name)
