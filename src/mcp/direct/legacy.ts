/** Answers plain tool calls of revisions up to 2025-11-25, as legacy.ts and its SDK would. */

import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import type { CancellableCalls } from '../protocol/cancellable-calls.ts'
import { noProgress, throttledProgress } from '../protocol/progress.ts'
import { pageToOpen } from '../protocol/url-elicitation.ts'
import { type RequestIdentity, runTool, type ToolResult, type ToolRunner } from '../run-tool.ts'
import type { FormedCall } from './recognise.ts'
import { jsonResponse, sseResponse, toRpcError } from './response.ts'

/** @param calls the calls in progress, which a notification may cancel. */
export function createLegacyCalls(runner: ToolRunner, calls: CancellableCalls) {
  return async function answerCall(
    { id, toolset, entry, args, progressToken, streams }: FormedCall,
    res: ServerResponse,
    asker: RequestIdentity,
  ): Promise<void> {
    const answer = streams ? sseResponse(res) : jsonResponse(res)
    const progress =
      progressToken === undefined
        ? noProgress
        : throttledProgress(async (progress, message) => {
            const params = { progressToken, progress, message }
            answer.notify({ method: 'notifications/progress', params, jsonrpc: '2.0' })
          }, answer)
    try {
      // A disconnect does not cancel a call in this era.
      const result = await calls.run(id, asker, async (signal) => {
        const call = { toolset, entry, args, asker, signal, progress }
        return orPageToOpen(runner, await runTool(runner, call), asker)
      })
      answer.finish({ result, jsonrpc: '2.0', id })
    } catch (thrown) {
      answer.finish({ jsonrpc: '2.0', id, error: toRpcError(thrown) })
    }
  }
}

/** @throws UrlElicitationRequiredError (-32042) instead of a failure that a page would fix. */
export async function orPageToOpen(
  { services }: ToolRunner,
  result: ToolResult,
  { caller }: RequestIdentity,
): Promise<ToolResult> {
  const page = pageToOpen(result)
  if (!page || !caller || !(await services.sessions.elicitsUrls(caller))) return result
  throw new UrlElicitationRequiredError([{ mode: 'url', elicitationId: randomUUID(), ...page }])
}
