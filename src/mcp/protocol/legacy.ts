/**
 * Protocol revisions up to 2025-11-25, on @modelcontextprotocol/sdk (v1).
 *
 * Stateless: a new server and transport for every request, never shared (CVE-2026-25536), and no
 * session. A disconnect does not cancel the tool call (MCP 2025-11-25, Transports: disconnection
 * should not be taken as cancellation); `notifications/cancelled` does.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  ErrorCode,
  InitializeRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  SUPPORTED_PROTOCOL_VERSIONS,
} from '@modelcontextprotocol/sdk/types.js'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { orPageToOpen } from '../direct/legacy.ts'
import { isDrained } from '../direct/response.ts'
import { type Ask, type RequestIdentity, runTool, type ToolRunner } from '../run-tool.ts'
import type { CancellableCalls } from './cancellable-calls.ts'
import { noProgress, throttledProgress } from './progress.ts'
import {
  CAPABILITIES,
  KEEP_ALIVE_MS,
  readResource,
  resourceListFor,
  type ServerInfo,
} from './server-info.ts'

/** Newest first. */
export const LEGACY_PROTOCOL_VERSIONS: readonly string[] = SUPPORTED_PROTOCOL_VERSIONS

/** MCP 2025-11-25, Resources: error handling. */
const RESOURCE_NOT_FOUND = -32002

/** Shared, since building one costs more than a request; it keeps nothing of what it validates. */
const jsonSchemaValidator = new AjvJsonSchemaValidator()

/** @param calls the calls in progress, which a notification may cancel. */
export function createLegacyHandler(runner: ToolRunner, info: ServerInfo, calls: CancellableCalls) {
  /** Answers one POST whose body is already parsed. */
  return async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    { asker, toolset, streams }: Ask,
  ): Promise<void> {
    calls.cancelNamedBy(body, asker)
    await rememberClient(runner, body, asker)
    const server = createServer(runner, info, {
      asker,
      toolset,
      calls,
      isTaken: () => isDrained(res),
    })
    const transport = new StreamableHTTPServerTransport({
      enableJsonResponse: !streams,
      keepAliveMs: KEEP_ALIVE_MS,
    })
    transport.onerror = (err) => runner.log.debug({ err }, 'legacy transport')
    res.on('close', () => void server.close())
    // Under exactOptionalPropertyTypes the SDK's transport class does not satisfy its own type.
    await server.connect(transport as Parameters<Server['connect']>[0])
    await transport.handleRequest(req, res, body)
  }
}

type Call = Omit<Ask, 'streams'> & { calls: CancellableCalls; isTaken: () => boolean }

function createServer(
  runner: ToolRunner,
  info: ServerInfo,
  { asker, toolset, calls, isTaken }: Call,
): Server {
  const server = new Server(info, {
    capabilities: CAPABILITIES,
    instructions: toolset.instructions,
    jsonSchemaValidator,
  })
  server.setRequestHandler(ListToolsRequestSchema, () => toolset.listFor(asker.caller))
  server.setRequestHandler(ListResourcesRequestSchema, () => resourceListFor(asker.caller))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [] }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { requestId, sendNotification }) => {
    const entry = toolset.find(params.name)
    if (!entry) throw new McpError(ErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    const progressToken = params._meta?.progressToken
    const progress =
      progressToken === undefined
        ? noProgress
        : throttledProgress(
            (progress, message) =>
              sendNotification({
                method: 'notifications/progress',
                params: { progressToken, progress, message },
              }),
            { isTaken },
          )
    return calls.run(requestId, asker, async (signal) => {
      const call = { toolset, entry, args: params.arguments, asker, signal, progress }
      return orPageToOpen(runner, await runTool(runner, call), asker)
    })
  })
  server.setRequestHandler(ReadResourceRequestSchema, async ({ params: { uri } }) => {
    const read = await readResource(runner, uri, asker)
    if (!read) throw new McpError(RESOURCE_NOT_FOUND, 'Resource not found', { uri })
    if ('failure' in read) {
      throw new McpError(read.failure.code, read.failure.message, read.failure.data)
    }
    return { contents: [{ uri, mimeType: 'application/json', text: read.text }] }
  })
  return server
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
