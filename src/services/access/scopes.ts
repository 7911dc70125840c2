/** What a connection or a personal token may do. The names appear in tokens and on the pages. */

import { AppError } from '../../errors.ts'

export const SCOPES = {
  'conversations:read': 'Read your conversations',
  'conversations:write':
    'Rename, archive, hide, copy and import conversations, and delete yours for ever',
  'messages:send': 'Send messages to Claude, billed to your Anthropic key',
  'conversations:share': 'Give others access to your conversations, and take it from them',
  'teams:read': 'See your teams and who is in them, and ask for a higher limit',
  'teams:manage': 'Change your teams: invite and remove people, and give them roles',
  'usage:read': 'See your usage and budget',
  'messages:api':
    'Use the Messages API (Claude Code, SDKs and other clients of Anthropic), billed to your Anthropic key',
  account:
    'See and change your account: Anthropic key, password, sessions, budget, export, deletion',
} as const

export type Scope = keyof typeof SCOPES

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[]

/** What an MCP client's connection may be given: the Messages API takes personal tokens only. */
export const CONNECTION_SCOPES: readonly Scope[] = ALL_SCOPES.filter(
  (scope) => scope !== 'messages:api',
)

export const isScope = (name: string): name is Scope => Object.hasOwn(SCOPES, name)

const READING: readonly Scope[] = ['conversations:read', 'teams:read', 'usage:read']

/** Whether the scope is read-only: it allows neither changes nor spending. */
export const isReading = (scope: Scope): boolean => READING.includes(scope)

/** The scopes of a client that requests none: the minimum for using Claude. */
export const DEFAULT_SCOPES: readonly Scope[] = [
  'conversations:read',
  'messages:send',
  'teams:read',
  'usage:read',
]

/** @throws AppError insufficient_scope naming all missing scopes. */
export function requireScopes(given: readonly Scope[], needed: readonly Scope[]): void {
  const missing = needed.filter((candidate) => !given.includes(candidate))
  if (missing.length > 0) throw insufficientScope(missing)
}

export function insufficientScope(missing: readonly Scope[]): AppError {
  const scope = missing.join(' ')
  return new AppError(
    'insufficient_scope',
    `This needs the permission ${missing.join(' and ')}, which the connection or token in use was not given. Connect again and approve it, or make a token that has it.`,
    { details: { scope } },
  )
}
