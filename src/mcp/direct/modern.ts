/** Answers plain tool calls of revision 2026-07-28, as modern.ts and its SDK would. */

import type { ServerResponse } from 'node:http'
import {
  type ClientCapabilities,
  inputRequired,
  SERVER_INFO_META_KEY,
} from '@modelcontextprotocol/server'
import { noProgress, throttledProgress } from '../protocol/progress.ts'
import type { ServerInfo } from '../protocol/server-info.ts'
import { PAGE_REQUEST, pageToOpen } from '../protocol/url-elicitation.ts'
import { type RequestIdentity, runTool, type ToolResult, type ToolRunner } from '../run-tool.ts'
import type { Fields, FormedCall, PlainCall } from './recognise.ts'
import { type CallAnswer, jsonResponse, sseResponse, toRpcError } from './response.ts'

export function createModernCalls(runner: ToolRunner, info: ServerInfo) {
  const _meta = { [SERVER_INFO_META_KEY]: info }
  return async function answerCall(
    call: FormedCall,
    res: ServerResponse,
    asker: RequestIdentity,
  ): Promise<void> {
    const { id, toolset, entry, args, clientCapabilities, streams } = call
    const answer = streams ? sseResponse(res) : jsonResponse(res)
    const signal = abortedByClose(res)
    try {
      const progress = progressOf(call, answer)
      const outcome = await runTool(runner, { toolset, entry, args, asker, signal, progress })
      const result = orPageToOpen(outcome, clientCapabilities)
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
  res.on('close', () => {
    if (!res.writableEnded) controller.abort()
  })
  return controller.signal
}

function progressOf({ progressToken }: PlainCall, answer: CallAnswer) {
  if (progressToken === undefined) return noProgress
  return throttledProgress(async (progress, message) => {
    const params = { progressToken, progress, message }
    answer.notify({ jsonrpc: '2.0', method: 'notifications/progress', params })
  }, answer)
}

/** Replaces the failure by the page that would fix it, for a client that opens links. */
export function orPageToOpen(result: ToolResult, capabilities: Fields | undefined) {
  const page = pageToOpen(result)
  const { elicitation } = (capabilities ?? {}) as ClientCapabilities
  if (!page || !elicitation?.url) return result
  return inputRequired({ inputRequests: { [PAGE_REQUEST]: inputRequired.elicitUrl(page) } })
}
