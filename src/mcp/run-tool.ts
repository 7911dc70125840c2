/**
 * Runs one tool call and turns any error that the tool throws into a result.
 *
 * The caller is authenticated earlier (http/mcp/authenticate.ts); here the call is authorized.
 */

import { AppError, toAppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Caller } from '../services/access/caller.ts'
import type { Announced } from '../services/access/read-ahead.ts'
import { insufficientScope, type Scope } from '../services/access/scopes.ts'
import type { Services } from '../services/index.ts'
import type { EarlySend, EarlyTurn } from '../services/turns/remembered/early-turn.ts'
import type { Telemetry } from '../telemetry.ts'
import { check, inWords, type Problem } from '../text/problems.ts'
import type { CatalogueEntry } from './catalogue.ts'
import {
  type Client,
  type InputRequired,
  isInputRequired,
  SILENT_CLIENT,
} from './definitions/client-input.ts'
import type { ContentBlock, EarlyContext } from './definitions/tool.ts'
import type { Toolset } from './toolset.ts'
import { wordedError } from './worded-error.ts'

/** What the HTTP side passes on with a request. */
export type RequestIdentity = {
  caller: Caller | null
  /** Why this call must not run: a bad access_token argument, or a rate limit. */
  refusal: AppError | null
  /** What the call has begun before its session was looked up. */
  early?: EarlyTurn | undefined
  /** The caller's network; undefined: unknown. */
  network?: string | undefined
  /** Whether tools are listed without their prefix. */
  shortNames?: boolean
}

/** The caller, the tool names that it sees, and whether the answer may be streamed. */
export type Ask = { asker: RequestIdentity; toolset: Toolset; streams: boolean }

export type ToolRunner = {
  services: Services
  maxToolInputElements: number
  log: Logger
  telemetry: Telemetry
}

export type ToolCall = {
  toolset: Pick<Toolset, 'worded'>
  entry: CatalogueEntry
  args: unknown
  asker: RequestIdentity
  signal: AbortSignal
  progress: (textSoFar: string) => void
  client?: Client
}

/** The same object in both eras' result types. */
export type ToolResult = {
  content: ContentBlock[]
  /** Absent for a tool of content. */
  structuredContent?: Record<string, unknown>
  isError?: true
}

/** Never throws: every failure is a result with `isError` that the client can act on. */
export async function runTool(
  runner: ToolRunner,
  call: ToolCall,
): Promise<ToolResult | InputRequired> {
  const startedAt = performance.now()
  const { tool } = call.entry
  try {
    const output = await run(runner, call)
    const result = isInputRequired(output) ? output : toResult(call, output)
    runner.telemetry.toolCall(tool.name, 'ok', performance.now() - startedAt)
    return result
  } catch (thrown) {
    const error = toAppError(thrown)
    runner.telemetry.toolCall(tool.name, error.code, performance.now() - startedAt)
    logFailure(runner.log, tool.name, error)
    return toFailure(error, call.toolset)
  }
}

async function run(runner: ToolRunner, call: ToolCall) {
  const { entry, args, asker, signal, progress, client = SILENT_CLIENT } = call
  const { tool } = entry
  if (asker.refusal) throw asker.refusal
  if (tool.access === 'user' && asker.caller === null) throw tokenMissing()
  refuseMissingScope(asker.caller, tool.scope)
  const data = admitted(runner, entry, args)
  const { caller, network, early } = asker
  const context = { caller, network, services: runner.services, signal, progress, client, early }
  return tool.run(data, context as never)
}

/**
 * Begins a call of the tool before its session is looked up, if the tool can.
 *
 * @returns undefined when nothing has begun: the call then says why, or does without.
 */
export async function startEarly(
  runner: ToolRunner,
  { entry, args }: Pick<ToolCall, 'entry' | 'args'>,
  asked: Omit<EarlyContext, 'services'>,
): Promise<EarlySend | undefined> {
  const { tool } = entry
  const data = tool.startEarly && admittedOrNot(runner, entry, args)
  return data && tool.startEarly?.(data, { ...asked, services: runner.services })
}

/** What the call needs, to be read with its session; undefined also where it will be refused. */
export function announcedBy(
  runner: ToolRunner,
  { entry, args }: Pick<ToolCall, 'entry' | 'args'>,
): Announced | undefined {
  const { tool } = entry
  const data = tool.announce && admittedOrNot(runner, entry, args)
  return data && tool.announce?.(data)
}

function admittedOrNot(runner: ToolRunner, entry: CatalogueEntry, args: unknown) {
  try {
    return admitted(runner, entry, args)
  } catch {
    return undefined
  }
}

/** The arguments as the tool takes them. @throws AppError. */
function admitted(
  { services, maxToolInputElements }: ToolRunner,
  entry: CatalogueEntry,
  args: unknown,
) {
  if (entry.tool.isHeavy) services.memory.refuseWhenShort()
  refuseTooManyElements(args, maxToolInputElements)
  refuseHalfCharacters(args)
  const { data, problems } = check(entry.input, withoutNulls(entry, args ?? {}))
  if (problems) throw invalidInput(entry, problems)
  return data as Record<string, unknown>
}

/** Drops nulls of optional arguments: some models send null for each one that they omit. */
function withoutNulls({ input }: CatalogueEntry, args: unknown): unknown {
  if (typeof args !== 'object' || args === null) return args
  const given = Object.entries(args)
  const isLeftOut = ([name, value]: [string, unknown]) =>
    value === null && input.shape[name]?.safeParse(null).success === false
  return given.some(isLeftOut) ? Object.fromEntries(given.filter((pair) => !isLeftOut(pair))) : args
}

/** Lone surrogates are invalid text: it can be neither stored nor sent on. */
function refuseHalfCharacters(args: unknown): void {
  for (const [name, value] of Object.entries(Object(args))) {
    if (!holdsHalfCharacter([name, value])) continue
    const field = name.toWellFormed()
    const message = `${field} must not hold half a surrogate pair, which is a character cut in two.`
    throw new AppError('invalid_input', message, { details: { fields: [field] } })
  }
}

function holdsHalfCharacter(values: unknown[]): boolean {
  const stack = [...values]
  while (stack.length > 0) {
    const node = stack.pop()
    if (typeof node === 'string' && !node.isWellFormed()) return true
    if (typeof node !== 'object' || node === null) continue
    for (const pair of Object.entries(node)) stack.push(...pair)
  }
  return false
}

function toResult({ entry, toolset }: ToolCall, output: Record<string, unknown>): ToolResult {
  const { rows, isContent } = entry.tool
  if (isContent) return { content: output.content as ContentBlock[] }
  const told = withWarnings(output, toolset)
  const structuredContent = rows ? { success: true, ...told } : { success: true, data: told }
  const text = JSON.stringify(rows ? told[rows] : structuredContent)
  return { content: [{ type: 'text', text }], structuredContent }
}

/** Only warnings are rewritten: the rest of a result is not the gateway's own text. */
function withWarnings(output: Record<string, unknown>, { worded }: ToolCall['toolset']) {
  if (!Array.isArray(output.warnings) || output.warnings.length === 0) return output
  return { ...output, warnings: output.warnings.map((warning: string) => worded(warning)) }
}

function toFailure(error: AppError, toolset: ToolCall['toolset']): ToolResult {
  const structuredContent = { success: false, error: wordedError(error, toolset) }
  const text = JSON.stringify(structuredContent)
  return { content: [{ type: 'text', text }], structuredContent, isError: true }
}

function logFailure(log: Logger, tool: string, error: AppError): void {
  if (error.code === 'internal') log.error({ err: error, tool }, 'tool failed')
  else if (error.status >= 500) log.warn({ code: error.code, tool }, 'tool failed')
}

/** HTTP has already refused a bearer token without the scope; an argument's is refused here. */
export function refuseMissingScope(caller: Caller | null, scope: Scope | undefined): void {
  if (caller === null || scope === undefined || caller.scopes.includes(scope)) return
  throw insufficientScope([scope])
}

const tokenMissing = () =>
  new AppError(
    'unauthenticated',
    'This tool needs an access token: connect by OAuth, or send one as Authorization: Bearer or as the access_token argument. authenticate_user gives one.',
  )

/** The most problems that an error lists: the list is in the answer several times. */
const MAX_PROBLEMS = 20

/** Names each invalid field, but never its value, which may be a secret. */
function invalidInput({ input }: CatalogueEntry, all: readonly Problem[]): AppError {
  const problems = all.slice(0, MAX_PROBLEMS)
  const said = problems.map((problem) => inWords(problem, 'the arguments')).join('; ')
  const names = Object.keys(input.shape).join(', ')
  const known = names === '' ? 'It takes no arguments.' : `Its arguments are: ${names}.`
  const isAnyUnknown = problems.some(({ isUnknown }) => isUnknown)
  return new AppError('invalid_input', isAnyUnknown ? `${said}. ${known}` : `${said}.`, {
    details: { fields: problems.map(({ field }) => field) },
  })
}

/**
 * Limits the work of validating hostile arguments: like the SDKs' `maxToolInputElements`, which
 * servers built on their low-level class lack (GHSA-46jr-4wx8-v453).
 */
function refuseTooManyElements(args: unknown, maxToolInputElements: number): void {
  const stack: unknown[] = [args]
  let elements = 0
  while (stack.length > 0) {
    const node = stack.pop()
    if (typeof node !== 'object' || node === null) continue
    const children = Object.values(node)
    elements += children.length
    if (elements > maxToolInputElements) {
      const message = `The arguments hold more than ${maxToolInputElements} values, the most that MAX_TOOL_INPUT_ELEMENTS allows here.`
      throw new AppError('invalid_input', message)
    }
    for (const child of children) stack.push(child)
  }
}
