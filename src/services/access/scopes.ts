/** What a connection or a personal token may do. The names appear in tokens and on the pages. */

import { AppError } from '../../errors.ts'

export const SCOPES = {
  'conversations:read': 'Read your conversations',
  'messages:send': 'Send messages to Claude, billed to your Anthropic key',
  'usage:read': 'See your usage and budget',
  account:
    'See and change your account: Anthropic key, password, sessions, budget, export, deletion',
} as const

export type Scope = keyof typeof SCOPES

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[]

export const isScope = (name: string): name is Scope => Object.hasOwn(SCOPES, name)

const READING: readonly Scope[] = ['conversations:read', 'usage:read']

/** Whether the scope is read-only: it allows neither changes nor spending. */
export const isReading = (scope: Scope): boolean => READING.includes(scope)

/** The scopes of a client that requests none: the minimum for using Claude. */
export const DEFAULT_SCOPES: readonly Scope[] = [
  'conversations:read',
  'messages:send',
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
