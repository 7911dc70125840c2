/** Definition of a prompt, which a person chooses from a menu of their client; no SDK is named. */

import { z } from 'zod'
import type { Scope } from '../../services/access/scopes.ts'
import type { Client, InputRequired } from './client-input.ts'
import type { Completers, ReadContext } from './resource.ts'
import type { ContentBlock } from './tool.ts'

export type PromptMessage = { role: 'user' | 'assistant'; content: ContentBlock }

export type PromptContext = ReadContext & {
  /** Rewrites the tool names in the gateway's own text as the client's list shows them. */
  worded(text: string): string
  client: Client
}

type Definition<I extends z.ZodRawShape> = {
  name: string
  title: string
  description: string
  /** The scope that a connection or personal token needs. */
  scope: Scope
  /** Texts, each described for the person who fills it in; an optional one may be left out. */
  input: z.ZodObject<I>
  complete?: { readonly [K in keyof I]?: Completers[string] }
  /** Its arguments by the names that errors of the services have for them. */
  argumentOf?: Readonly<Record<string, keyof I & string>>
  /** @throws AppError when the caller may not see what the prompt refers to. */
  messages(
    args: z.output<z.ZodObject<I>>,
    context: PromptContext,
  ): Promise<readonly PromptMessage[] | InputRequired>
}

export type Prompt = Omit<Definition<z.ZodRawShape>, 'messages' | 'complete'> & {
  complete?: Completers
  messages(
    args: Record<string, unknown>,
    context: PromptContext,
  ): Promise<readonly PromptMessage[] | InputRequired>
}

/** Type-checks a definition; the list in prompts/index.ts holds the results. */
export function definePrompt<I extends z.ZodRawShape>(definition: Definition<I>): Prompt {
  return definition as unknown as Prompt
}

/** As clients see them, in the order of the definition. */
export const argumentsOf = ({ input }: Prompt) =>
  Object.entries(input.shape).map(([name, schema]) => {
    const { description } = schema as z.ZodType
    const required = !z.safeParse(schema, undefined).success
    return { name, ...(description === undefined ? {} : { description }), required }
  })
