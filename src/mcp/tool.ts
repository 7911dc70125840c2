/**
 * A tool as this gateway defines it: once, and knowing no SDK. legacy.ts and modern.ts put the same
 * definitions on the wire of either protocol era.
 */

import { z } from 'zod'
import type { Services } from '../services/index.ts'
import type { Scope } from '../services/scopes.ts'
import type { Caller } from '../services/sessions.ts'

/** `public` tools may be called without a token. */
export type Access = 'public' | 'user'

export type ToolContext<A extends Access = Access> = {
  caller: A extends 'user' ? Caller : Caller | null
  services: Services
  /** Names the network that asks, for what takes turns between networks. */
  network: string | undefined
  /** Aborted when the client cancels the call. */
  signal: AbortSignal
  /** Shows the newest text to a client that asked for progress. Cheap to call often. */
  progress: (textSoFar: string) => void
}

/** What a client may assume of a tool (MCP specification: ToolAnnotations). */
export type Hints = {
  readOnly: boolean
  destructive: boolean
  idempotent: boolean
  openWorld: boolean
}

type Definition<A extends Access, I extends z.ZodRawShape, O extends z.ZodRawShape> = {
  /** Without the prefix. */
  name: string
  title: string
  description: string
  access: A
  /** What a connection or personal token has to be allowed; none: whoever is signed in. */
  scope?: Scope
  /** What it asks for besides when it runs. */
  alsoNeeds?: readonly Scope[]
  /** The one kind of session that it is for. */
  onlyWith?: Caller['kind']
  hints: Hints
  /** A tighter limit per address, for what invites guessing or flooding. */
  limitedAs?: 'registration' | 'sign-in'
  /** New work of a size that its caller chooses: refused while memory is short. */
  isHeavy?: boolean
  /** Answers over an open stream, since it may take minutes. */
  streams?: boolean
  input: z.ZodObject<I>
  /** The `data` of a successful result, or, with `rows`, the whole structured result. */
  output: z.ZodObject<O>
  /** The field of the output that is the text block by itself, as a bare JSON array. */
  rows?: Extract<keyof O, string>
  run(args: z.output<z.ZodObject<I>>, context: ToolContext<A>): Promise<z.input<z.ZodObject<O>>>
}

export type Tool = Omit<Definition<'public', z.ZodRawShape, z.ZodRawShape>, 'access' | 'run'> & {
  access: Access
  run(args: Record<string, unknown>, context: ToolContext<never>): Promise<Record<string, unknown>>
}

/** Checks a definition's types against one another; the list in tools/index.ts takes the result. */
export function defineTool<A extends Access, I extends z.ZodRawShape, O extends z.ZodRawShape>(
  definition: Definition<A, I, O>,
): Tool {
  return definition as unknown as Tool
}

/** The document's way to say who is asking, beside the Authorization header. */
export const accessTokenArgument = z
  .string()
  .optional()
  .describe(
    'Access token from authenticate_user, or a personal access token. Not needed when the client signed in by OAuth, or sends a token as Authorization: Bearer.',
  )

/** Text that PostgreSQL can store: it takes no NUL. */
export const storableText = z
  .string()
  .refine((text) => !text.includes('\0'), 'must not hold NUL characters')

/** ISO 8601, UTC with Z. */
export const instant = z.iso.datetime()
