/** Answers plain tool calls of revisions up to 2025-11-25, as protocol/legacy.ts and its SDK would. */

import type { ServerResponse } from 'node:http'
import type { CancellableCalls } from '../protocol/cancellable-calls.ts'
import { runLegacyCall } from '../protocol/legacy.ts'
import { progressWith } from '../protocol/progress.ts'
import type { RequestIdentity, ToolRunner } from '../run-tool.ts'
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
    const notify = (told: object) => answer.notify({ ...told, jsonrpc: '2.0' })
    const progress = progressWith(progressToken, notify, answer)
    try {
      // A disconnect does not cancel a call in this era.
      const result = await calls.run(id, asker, (signal) =>
        runLegacyCall(runner, { toolset, entry, args, asker, signal, progress }),
      )
      answer.finish({ result, jsonrpc: '2.0', id })
    } catch (thrown) {
      answer.finish({ jsonrpc: '2.0', id, error: toRpcError(thrown) })
    }
  }
}
