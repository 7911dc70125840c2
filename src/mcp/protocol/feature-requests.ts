/** Answers what both eras ask of lists, resources, prompts and completion, in the same words. */

import { AppError, toAppError, withDetails } from '../../errors.ts'
import type { Caller } from '../../services/access/caller.ts'
import type { Scope } from '../../services/access/scopes.ts'
import { check, inWords } from '../../text/problems.ts'
import { type Client, SILENT_CLIENT } from '../definitions/client-input.ts'
import { argumentsOf, type Prompt, type PromptContext } from '../definitions/prompt.ts'
import type { ReadContext, Variables } from '../definitions/resource.ts'
import { createFinder, type FeatureFinder, type Features, isAnyCompleted } from '../features.ts'
import { type Ask, refuseMissingScope, type ToolRunner } from '../run-tool.ts'
import { wordedError } from '../worded-error.ts'

/** As the SDK of the era has validated them. */
type Params = Record<string, unknown>
type Asked = Pick<Ask, 'asker' | 'toolset'> & { client?: Client }
type Answerer = (params: Params, ask: Asked) => object | Promise<object>

/** By JSON-RPC method. All throw {@link ProtocolFailure}, and nothing else. */
export type FeatureRequests = Readonly<Record<string, Answerer>>

/** A JSON-RPC error: each SDK has an error class of its own. */
export class ProtocolFailure extends Error {
  readonly code: number
  readonly data: unknown
  constructor(code: number, message: string, data?: unknown) {
    super(message)
    this.code = code
    this.data = data
  }
}

/** Each era has a code for it. */
export class NoSuchResource extends ProtocolFailure {
  readonly uri: string
  constructor(uri: string) {
    super(INVALID_PARAMS, 'Resource not found', { uri })
    this.uri = uri
  }
}

/** JSON-RPC 2.0, section 5.1. */
const INVALID_PARAMS = -32602
/** Application errors outside the reserved range (JSON-RPC 2.0 section 5.1). */
const GATEWAY_ERROR = -32000
/** MCP specification, Completion: at most so many in one answer. */
const MAX_COMPLETIONS = 100

export function createFeatureRequests(runner: ToolRunner, features: Features): FeatureRequests {
  const finder = createFinder(features)
  const { resources, resourceTemplates, prompts } = features
  return {
    'tools/list': (_params, { asker, toolset }) => toolset.listFor(asker.caller),
    'resources/list': (_params, { asker }) => ({
      resources: resources.filter(isFor(asker.caller)).map(({ uri, ...rest }) => ({
        uri,
        ...described(rest),
      })),
    }),
    'resources/templates/list': (_params, { asker }) => ({
      resourceTemplates: resourceTemplates
        .filter(isFor(asker.caller))
        .map(({ uriTemplate, ...rest }) => ({ uriTemplate, ...described(rest) })),
    }),
    'resources/read': ({ uri }, ask) =>
      guarded(runner, ask, 'resource', (context) => read(finder, String(uri), context)),
    ...(prompts.length === 0
      ? {}
      : {
          'prompts/list': (_params, { asker, toolset }) => ({
            prompts: prompts.filter(isFor(asker.caller)).map((prompt) => listed(prompt, toolset)),
          }),
          'prompts/get': ({ name, arguments: args }, ask) =>
            guarded(runner, ask, 'prompt', (context) =>
              getPrompt(finder, name, args, {
                ...context,
                worded: ask.toolset.worded,
                client: ask.client ?? SILENT_CLIENT,
              }),
            ),
        }),
    ...(isAnyCompleted(features)
      ? {
          'completion/complete': (params, ask) =>
            guarded(runner, ask, 'completion', (context) => complete(finder, params, context)),
        }
      : {}),
    ...features.more?.methods,
  }
}

/** What the server declares that it has. */
export const capabilitiesOf = (features: Features) => ({
  tools: {},
  resources: {},
  ...(features.prompts.length === 0 ? {} : { prompts: {} }),
  ...(isAnyCompleted(features) ? { completions: {} } : {}),
  ...features.more?.capabilities,
})

/** A token sees what its scopes allow; without a token, all is listed. */
const isFor =
  (caller: Caller | null) =>
  ({ scope }: { scope: Scope }) =>
    caller?.scopes.includes(scope) !== false

type Described = { name: string; title: string; description: string; mimeType: string }

const described = ({ name, title, description, mimeType }: Described) => ({
  name,
  title,
  description,
  mimeType,
})

const listed = (prompt: Prompt, { worded }: Ask['toolset']) => {
  const { name, title, description } = prompt
  return { name, title, description: worded(description), arguments: argumentsOf(prompt) }
}

/** Turns what may go wrong for the caller into an error that tells them. */
async function guarded(
  { services, log }: ToolRunner,
  { asker: { caller, refusal }, toolset }: Pick<Ask, 'asker' | 'toolset'>,
  what: string,
  work: (context: ReadContext) => Promise<object>,
): Promise<object> {
  try {
    if (refusal) throw refusal
    if (!caller) throw new AppError('unauthenticated', `This ${what} needs an access token.`)
    return await work({ caller, services })
  } catch (thrown) {
    if (thrown instanceof ProtocolFailure) throw thrown
    const error = toAppError(thrown)
    if (error.code === 'internal') log.error({ err: error }, `${what} failed`)
    const data = wordedError(error, toolset)
    throw new ProtocolFailure(GATEWAY_ERROR, data.message, data)
  }
}

async function read({ findResource }: FeatureFinder, uri: string, context: ReadContext) {
  const resource = findResource(uri)
  if (!resource) throw new NoSuchResource(uri)
  refuseMissingScope(context.caller, resource.scope)
  const contents = await resource.read(context)
  if (!contents) throw new NoSuchResource(uri)
  return { contents: [{ uri, mimeType: resource.mimeType, ...contents }] }
}

async function getPrompt(
  { findPrompt }: FeatureFinder,
  name: unknown,
  args: unknown,
  context: PromptContext,
) {
  const prompt = findPrompt(name)
  if (!prompt) throw new ProtocolFailure(INVALID_PARAMS, `Unknown prompt: ${name}`)
  refuseMissingScope(context.caller, prompt.scope)
  const { data, problems } = check(prompt.input, args ?? {})
  if (problems) {
    const said = problems.map((problem) => inWords(problem, 'the arguments')).join('; ')
    throw new ProtocolFailure(INVALID_PARAMS, `Invalid arguments of prompt ${name}: ${said}.`)
  }
  const messages = await prompt.messages(data, context).catch(inArgumentsOf(prompt))
  if ('resultType' in messages) return messages
  return { description: context.worded(prompt.description), messages }
}

/** Makes an error name an argument of the prompt: the client has given no others. */
const inArgumentsOf =
  ({ argumentOf = {} }: Prompt) =>
  (thrown: unknown): never => {
    const error = toAppError(thrown)
    const field = argumentOf[error.details?.field ?? '']
    throw field === undefined ? thrown : withDetails(error, { field })
  }

async function complete(
  { findCompletable }: FeatureFinder,
  { ref, argument, context: chosen }: Params,
  context: ReadContext,
) {
  const completable = findCompletable(ref)
  if (!completable) {
    throw new ProtocolFailure(INVALID_PARAMS, 'params.ref names no prompt or resource template.')
  }
  refuseMissingScope(context.caller, completable.scope)
  const { name, value } = argument as { name: string; value: string }
  const given = ((chosen as { arguments?: Variables } | undefined)?.arguments ?? {}) as Variables
  const all = (await completable.complete?.[name]?.(value, { ...context, given })) ?? []
  const values = all.slice(0, MAX_COMPLETIONS)
  return { completion: { values, hasMore: all.length > values.length } }
}
