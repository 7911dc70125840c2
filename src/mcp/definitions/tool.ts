/**
 * Definition of a tool, independent of the SDKs. legacy.ts and modern.ts serve the same definitions
 * in their protocol eras.
 */

import { z } from 'zod'
import type { Caller } from '../../services/access/caller.ts'
import type { Announced } from '../../services/access/read-ahead.ts'
import type { Scope } from '../../services/access/scopes.ts'
import type { Services } from '../../services/index.ts'
import type { EarlySend, EarlyTurn } from '../../services/turns/remembered/early-turn.ts'
import type { Client, InputRequired } from './client-input.ts'
import type { Contents } from './resource.ts'

/** `public` tools may be called without a token. */
export type Access = 'public' | 'user'

export type ToolContext<A extends Access = Access> = {
  caller: A extends 'user' ? Caller : Caller | null
  services: Services
  /** The caller's network, for work that is queued per network. */
  network: string | undefined
  /** Aborted when the client cancels the call. */
  signal: AbortSignal
  /** Sends the newest text to a client that requested progress. Cheap to call often. */
  progress: (textSoFar: string) => void
  /** Answers and notifies only for tools that are interactive. */
  client: Client
  /** What the tool has begun early. */
  early?: EarlyTurn | undefined
}

/** What is known of a call before its session is. */
export type EarlyContext = {
  services: Services
  token: string
  /** Whether the user may have another call that waits for an answer. */
  mayStart: (userId: string) => boolean
}

/** One part of what a tool or a prompt hands out (MCP specification: ContentBlock). */
export type ContentBlock =
  | { type: 'text'; text: string }
  /** `data` is base64. */
  | { type: 'image' | 'audio'; data: string; mimeType: string }
  | { type: 'resource'; resource: { uri: string; mimeType: string } & Contents }

/** What a client may assume of a tool (MCP specification: ToolAnnotations). */
export type Hints = {
  readOnly: boolean
  destructive: boolean
  idempotent: boolean
  openWorld: boolean
}

/** What an operator may switch off. */
export type OptionalFeature = 'sharing'

type Definition<A extends Access, I extends z.ZodRawShape, O extends z.ZodRawShape> = {
  /** Without prefix. */
  name: string
  title: string
  description: string
  access: A
  /** The scope that a connection or personal token needs; none: any signed-in user may call it. */
  scope?: Scope
  /** Further scopes that it checks when it runs. */
  alsoNeeds?: readonly Scope[]
  /** The only kind of session that may use it. */
  onlyWith?: Caller['kind']
  hints: Hints
  /** Absent while the operator has this off. */
  feature?: OptionalFeature
  /** A stricter limit per address, for tools open to guessing or flooding; of searches, per user. */
  limitedAs?: 'registration' | 'sign-in' | 'search'
  /** Starts work of caller-chosen size: refused while memory is short. */
  isHeavy?: boolean
  /** Answers over a stream, since it may take minutes. */
  streams?: boolean
  /**
   * Begins a call before its session is looked up, where all that it needs is remembered and
   * nothing forbids it. Undefined: nothing has begun.
   */
  startEarly?(args: z.output<z.ZodObject<I>>, context: EarlyContext): Promise<EarlySend | undefined>
  /** What such a call needs, to be read with its session; undefined: nothing that can be. */
  announce?(args: z.output<z.ZodObject<I>>): Announced | undefined
  /** May ask the client, or notify it of more than progress: served by the SDKs alone. */
  isInteractive?: boolean
  /** Its output is `content`, handed out as it is: there is no structured result. */
  isContent?: boolean
  input: z.ZodObject<I>
  /** Listed instead of the JSON Schema of `input`, which says the same. */
  listedInput?: { type: 'object'; [keyword: string]: unknown }
  /** The `data` of a successful result, or, with `rows`, the whole structured result. */
  output: z.ZodObject<O>
  /** The field of the output that is sent as the text block, as a bare JSON array. */
  rows?: Extract<keyof O, string>
  run(
    args: z.output<z.ZodObject<I>>,
    context: ToolContext<A>,
  ): Promise<z.input<z.ZodObject<O>> | InputRequired>
}

export type Tool = Omit<
  Definition<'public', z.ZodRawShape, z.ZodRawShape>,
  'access' | 'announce' | 'run' | 'startEarly'
> & {
  access: Access
  announce?(args: Record<string, unknown>): Announced | undefined
  startEarly?(args: Record<string, unknown>, context: EarlyContext): Promise<EarlySend | undefined>
  run(args: Record<string, unknown>, context: ToolContext<never>): Promise<Record<string, unknown>>
}

/** Type-checks a definition; the list in tools/index.ts holds the results. */
export function defineTool<A extends Access, I extends z.ZodRawShape, O extends z.ZodRawShape>(
  definition: Definition<A, I, O>,
): Tool {
  return definition as unknown as Tool
}

/** Identifies the caller by an argument, as an alternative to the Authorization header. */
export const accessTokenArgument = z
  .string()
  .optional()
  .describe(
    'Access token from authenticate_user, or a personal access token. Not needed when the client signed in by OAuth, or sends a token as Authorization: Bearer.',
  )

/** Text that PostgreSQL can store: without NUL. */
export const storableText = z
  .string()
  .refine((text) => !text.includes('\0'), 'must not hold NUL characters')

/** ISO 8601, UTC with Z. */
export const instant = z.iso.datetime()
