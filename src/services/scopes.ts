/** What a connection or a personal token may do. Names as they stand in tokens and on the pages. */

import { AppError } from '../errors.ts'

export const SCOPES = {
  'conversations:read': 'Read your conversations',
  'messages:send': 'Send messages to Claude, billed to your Anthropic key',
  'usage:read': 'See your usage and budget',
  account: 'Change your account: Anthropic key, password, sessions, deletion',
} as const

export type Scope = keyof typeof SCOPES

export const ALL_SCOPES = Object.keys(SCOPES) as readonly Scope[]

export const isScope = (name: string): name is Scope => Object.hasOwn(SCOPES, name)

/** What is asked for by a client that does not say: no more than using Claude takes. */
export const DEFAULT_SCOPES: readonly Scope[] = [
  'conversations:read',
  'messages:send',
  'usage:read',
]

/** @throws AppError insufficient_scope when one that is needed was not given. */
export function requireScopes(given: readonly Scope[], needed: readonly Scope[]): void {
  const scope = needed.find((candidate) => !given.includes(candidate))
  if (scope === undefined) return
  throw new AppError(
    'insufficient_scope',
    `This needs the permission ${scope}, which the connection or token in use was not given.`,
    { details: { scope } },
  )
}
