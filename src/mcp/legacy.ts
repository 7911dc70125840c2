/**
 * Protocol revisions up to 2025-11-25, on @modelcontextprotocol/sdk (v1).
 *
 * Stateless: a server and a transport of its own for every request, never shared (CVE-2026-25536),
 * and no session. A client that goes away does not stop its tool call (MCP 2025-11-25, Transports:
 * disconnection should not be taken as cancellation); `notifications/cancelled` does.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  ErrorCode,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { CancellableCalls } from './cancellable-calls.ts'
import { noProgress, throttledProgress } from './progress.ts'
import { type Asker, findTool, runTool, type ToolRunner } from './run-tool.ts'
import {
  CAPABILITIES,
  INSTRUCTIONS,
  KEEP_ALIVE_MS,
  RESOURCE_LIST,
  readResource,
  SERVER_INFO,
  TOOL_LIST,
} from './surface.ts'

/** MCP 2025-11-25, Resources: error handling. */
const RESOURCE_NOT_FOUND = -32002

/** Building one per request costs more than the request; it keeps nothing of what it validates. */
const jsonSchemaValidator = new AjvJsonSchemaValidator()

export function createLegacyHandler(runner: ToolRunner) {
  const calls = new CancellableCalls()

  /** Answers one POST whose body was parsed already. `streams`: the answer may take minutes. */
  return async function handle(
    req: IncomingMessage,
    res: ServerResponse,
    body: unknown,
    asker: Asker,
    streams: boolean,
  ): Promise<void> {
    calls.cancelNamedBy(body, asker)
    const server = createServer(runner, asker, calls)
    const transport = new StreamableHTTPServerTransport({
      enableJsonResponse: !streams,
      keepAliveMs: KEEP_ALIVE_MS,
    })
    transport.onerror = (err) => runner.log.debug({ err }, 'legacy transport')
    res.on('close', () => void server.close())
    // The SDK's own transport class does not satisfy its Transport type under exactOptionalPropertyTypes.
    await server.connect(transport as Parameters<Server['connect']>[0])
    await transport.handleRequest(req, res, body)
  }
}

function createServer(runner: ToolRunner, asker: Asker, calls: CancellableCalls): Server {
  const server = new Server(SERVER_INFO, {
    capabilities: CAPABILITIES,
    instructions: INSTRUCTIONS,
    jsonSchemaValidator,
  })
  server.setRequestHandler(ListToolsRequestSchema, () => TOOL_LIST)
  server.setRequestHandler(ListResourcesRequestSchema, () => RESOURCE_LIST)
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [] }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { requestId, sendNotification }) => {
    const entry = findTool(params.name)
    if (!entry) throw new McpError(ErrorCode.InvalidParams, `Unknown tool: ${params.name}`)
    const progressToken = params._meta?.progressToken
    const progress =
      progressToken === undefined
        ? noProgress
        : throttledProgress((progress, message) =>
            sendNotification({
              method: 'notifications/progress',
              params: { progressToken, progress, message },
            }),
          )
    return calls.run(requestId, asker, (signal) =>
      runTool(runner, { entry, args: params.arguments, asker, signal, progress }),
    )
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
