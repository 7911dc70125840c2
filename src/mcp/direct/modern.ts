/** Answers plain tool calls of revision 2026-07-28, as protocol/modern.ts and its SDK would. */

import type { ServerResponse } from 'node:http'
import { SERVER_INFO_META_KEY } from '@modelcontextprotocol/server'
import { runModernCall } from '../protocol/modern.ts'
import { progressWith } from '../protocol/progress.ts'
import type { ServerInfo } from '../protocol/server-info.ts'
import type { RequestIdentity, ToolRunner } from '../run-tool.ts'
import type { FormedCall } from './recognise.ts'
import { jsonResponse, sseResponse, toRpcError } from './response.ts'

export function createModernCalls(runner: ToolRunner, info: ServerInfo) {
  const _meta = { [SERVER_INFO_META_KEY]: info }
  return async function answerCall(
    call: FormedCall,
    res: ServerResponse,
    asker: RequestIdentity,
  ): Promise<void> {
    const { id, toolset, entry, args, progressToken, clientCapabilities, streams } = call
    const answer = streams ? sseResponse(res) : jsonResponse(res)
    const signal = abortedByClose(res)
    const notify = (told: object) => answer.notify({ jsonrpc: '2.0', ...told })
    const progress = progressWith(progressToken, notify, answer)
    try {
      const run = { toolset, entry, args, asker, signal, progress }
      const result = await runModernCall(runner, run, clientCapabilities)
      const resultType = 'resultType' in result ? result.resultType : 'complete'
      answer.finish({ result: { ...result, resultType, _meta }, jsonrpc: '2.0', id })
    } catch (thrown) {
      answer.finish({ jsonrpc: '2.0', id, error: toRpcError(thrown) })
    }
  }
}

/** In this era, closing the response stream cancels the call (by the specification). */
function abortedByClose(res: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const abort = () => res.writableEnded || controller.abort()
  // The client may have left while its session was looked up.
  if (res.closed) abort()
  else res.on('close', abort)
  return controller.signal
}
