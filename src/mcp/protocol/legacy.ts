/**
 * Protocol revisions up to 2025-11-25, on @modelcontextprotocol/sdk (v1).
 *
 * Stateless: a new server and transport for every request, never shared (CVE-2026-25536), and no
 * session. A disconnect does not cancel the tool call (MCP 2025-11-25, Transports: disconnection
 * should not be taken as cancellation); `notifications/cancelled` does.
 */

import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  ErrorCode,
  GetPromptRequestSchema,
  InitializeRequestSchema,
  type JSONRPCMessage,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  type ServerNotification,
  SUPPORTED_PROTOCOL_VERSIONS,
  UrlElicitationRequiredError,
} from '@modelcontextprotocol/sdk/types.js'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { z } from 'zod'
import {
  type Client,
  type InputRequest,
  isInputRequired,
  SILENT_CLIENT,
} from '../definitions/client-input.ts'
import type { Features } from '../features.ts'
import {
  type Ask,
  type RequestIdentity,
  runTool,
  type ToolCall,
  type ToolResult,
  type ToolRunner,
} from '../run-tool.ts'
import { isDrained } from '../wire.ts'
import type { CancellableCalls } from './cancellable-calls.ts'
import type { ClientRequests } from './client-requests.ts'
import {
  capabilitiesOf,
  createFeatureRequests,
  type FeatureRequests,
  NoSuchResource,
  ProtocolFailure,
} from './feature-requests.ts'
import { progressWith } from './progress.ts'
import { KEEP_ALIVE_MS, type ServerInfo } from './server-info.ts'
import { orPageToOpen } from './url-elicitation.ts'

/** Newest first. */
export const LEGACY_PROTOCOL_VERSIONS: readonly string[] = SUPPORTED_PROTOCOL_VERSIONS

/** MCP 2025-11-25, Resources: error handling. */
const RESOURCE_NOT_FOUND = -32002

/** Shared, since building one costs more than a request; it keeps nothing of what it validates. */
const jsonSchemaValidator = new AjvJsonSchemaValidator()

const SCHEMAS = {
  'tools/list': ListToolsRequestSchema,
  'resources/list': ListResourcesRequestSchema,
  'resources/templates/list': ListResourceTemplatesRequestSchema,
  'resources/read': ReadResourceRequestSchema,
  'prompts/list': ListPromptsRequestSchema,
  'prompts/get': GetPromptRequestSchema,
  'completion/complete': CompleteRequestSchema,
}

/** Of a further method, whose parameters are not read. */
const requestOf = (method: string) =>
  z.object({ method: z.literal(method), params: z.looseObject({}).optional() })

type Served = {
  runner: ToolRunner
  info: ServerInfo
  features: Features
  /** The calls in progress, which a notification may cancel. */
  calls: CancellableCalls
  /** What clients were asked and have not answered. */
  questions: ClientRequests
}

export function createLegacyHandler(served: Served) {
  const { runner, calls, questions, features } = served
  const requests = createFeatureRequests(runner, features)
  const capabilities = capabilitiesOf(features)
  /** Answers one POST whose body is already parsed. */
  return async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    { asker, toolset, streams }: Ask,
  ): Promise<void> {
    calls.cancelNamedBy(body, asker)
    questions.answerWith(body, asker)
    await rememberClient(runner, body, asker)
    const transport = new StreamableHTTPServerTransport({
      enableJsonResponse: !streams,
      keepAliveMs: KEEP_ALIVE_MS,
    })
    const call = { asker, toolset, isTaken: () => isDrained(res) }
    const sending = { ...call, send: streams ? transport.send.bind(transport) : undefined }
    const server = createServer({ ...served, requests, capabilities }, sending)
    transport.onerror = (err) => runner.log.debug({ err }, 'legacy transport')
    res.on('close', () => void server.close())
    // Under exactOptionalPropertyTypes the SDK's transport class does not satisfy its own type.
    await server.connect(transport as Parameters<Server['connect']>[0])
    await transport.handleRequest(req, res, body)
  }
}

type Call = Omit<Ask, 'streams'> & {
  isTaken: () => boolean
  /** Undefined where the answer is not a stream, on which nothing else can be sent. */
  send: StreamableHTTPServerTransport['send'] | undefined
}
type Answers = Served & {
  requests: FeatureRequests
  capabilities: ReturnType<typeof capabilitiesOf>
}

function createServer(
  { runner, info, calls, questions, requests, capabilities }: Answers,
  { asker, toolset, isTaken, send }: Call,
): Server {
  const server = new Server(info, {
    capabilities,
    instructions: toolset.instructions,
    jsonSchemaValidator,
  })
  for (const [method, answer] of Object.entries(requests)) {
    const schema = (SCHEMAS[method as keyof typeof SCHEMAS] ??
      requestOf(method)) as typeof ListToolsRequestSchema
    server.setRequestHandler(schema, async ({ params = {} }) => {
      try {
        return { ...(await answer(params, { asker, toolset })) }
      } catch (thrown) {
        throw toMcpError(thrown)
      }
    })
  }
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { requestId, sendNotification }) => {
    const entry = toolset.find(params.name)
    if (!entry) throw failure(ErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    const progress = progressWith(params._meta?.progressToken, sendNotification, { isTaken })
    const notify: Client['notify'] = (told) => sendNotification(told as ServerNotification)
    const client = { ...SILENT_CLIENT, notify }
    return calls.run(requestId, asker, async (signal) => {
      const ask: AskClient = (request) => {
        if (!send) throw failure(ErrorCode.InvalidRequest, NOT_TO_BE_ASKED)
        const related = (message: JSONRPCMessage) => send(message, { relatedRequestId: requestId })
        return questions.ask(
          (message) => related(message as JSONRPCMessage),
          request,
          asker,
          signal,
        )
      }
      const call = { toolset, entry, args: params.arguments, asker, signal, progress, client }
      return { ...(await runLegacyCall(runner, call, ask)) }
    })
  })
  return server
}

function toMcpError(thrown: unknown): unknown {
  if (!(thrown instanceof ProtocolFailure)) return thrown
  const { code, message, data } = thrown
  return failure(thrown instanceof NoSuchResource ? RESOURCE_NOT_FOUND : code, message, data)
}

/** An McpError begins with its code, which clients of the same SDK put before it once more. */
const failure = (code: number, message: string, data?: unknown): Error =>
  Object.assign(new McpError(code, message, data), { message })

type AskClient = (request: InputRequest) => Promise<unknown>

const NOT_TO_BE_ASKED = 'This call needs a client that accepts text/event-stream.'
/** A tool asks again when an answer leads to another question. */
const MAX_ROUNDS = 8

/** Runs the tool until it has what it asks of the client. */
async function runAsking(runner: ToolRunner, call: ToolCall, ask: AskClient | undefined) {
  let result = await runTool(runner, call)
  for (let round = 0; isInputRequired(result); round++) {
    if (!ask || round === MAX_ROUNDS) throw failure(ErrorCode.InvalidRequest, NOT_TO_BE_ASKED)
    const { inputRequests = {}, requestState: state } = result
    const answers: Record<string, unknown> = {}
    for (const [name, request] of Object.entries(inputRequests)) answers[name] = await ask(request)
    const client = { ...SILENT_CLIENT, ...call.client, answers, state }
    result = await runTool(runner, { ...call, client })
  }
  return result
}

/**
 * @param ask absent where the client cannot be asked.
 * @throws UrlElicitationRequiredError (-32042) instead of a failure that a page would fix.
 */
export async function runLegacyCall(
  runner: ToolRunner,
  call: ToolCall,
  ask?: AskClient,
): Promise<ToolResult> {
  const { caller } = call.asker
  const result = await runAsking(runner, call, ask)
  return orPageToOpen(
    result,
    async () => caller !== null && (await runner.services.sessions.elicitsUrls(caller)),
    (page) => {
      throw new UrlElicitationRequiredError([{ mode: 'url', elicitationId: randomUUID(), ...page }])
    },
  )
}

/**
 * A client declares its capabilities once, in `initialize`: the session of its bearer token stores
 * whether it opens links.
 */
async function rememberClient(
  { services, log }: ToolRunner,
  body: unknown,
  { caller }: RequestIdentity,
) {
  if (!caller || (body as { method?: unknown }).method !== 'initialize') return
  const initialize = InitializeRequestSchema.safeParse(body).data
  if (!initialize) return
  const opensLinks = initialize.params.capabilities.elicitation?.url !== undefined
  await services.sessions
    .noteElicitsUrls(caller, opensLinks)
    .catch((err: unknown) => log.warn({ err }, 'what a client declared was not noted'))
}
