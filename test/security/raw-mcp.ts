/** Requests to /mcp written by hand: what an official client would never send, or never show. */

import { legacy, modern, toolCall as plainCall, USUAL } from '../http/posting.ts'
import type { Era } from '../support/start-app.ts'

export { bearer } from '../http/posting.ts'

export type RpcMessage = {
  jsonrpc: string
  id?: unknown
  method?: string
  // As JSON.parse gives it: a wrong shape fails the expectation that reads it.
  params?: ReturnType<typeof JSON.parse>
  result?: ReturnType<typeof JSON.parse>
  error?: ReturnType<typeof JSON.parse>
}

type RawAnswer = { status: number; headers: Headers; messages: RpcMessage[] }

type RawRequest = { body: Record<string, unknown>; headers: Record<string, string> }

type CallOptions = { id?: unknown; progressToken?: string | number }

/** A tools/call of either era. The same id and progress token each time unless told otherwise. */
export function toolCall(
  era: Era,
  tool: string,
  args: unknown,
  { id = 1, progressToken }: CallOptions = {},
): RawRequest {
  const { method, params } = plainCall(tool, args)
  return rpc(era, method, params, { id, progressToken })
}

/** A resources/read of either era. */
export const resourceRead = (era: Era, uri: string): RawRequest =>
  rpc(era, 'resources/read', { uri }, { id: 1 })

type Frame = { id: unknown; progressToken?: string | number | undefined }

function rpc(era: Era, method: string, params: object, { id, progressToken }: Frame): RawRequest {
  const progress = progressToken === undefined ? {} : { progressToken }
  const plain = { jsonrpc: '2.0', id, method, params: { ...params, _meta: progress } }
  return era === 'modern' ? modern(plain) : legacy(plain)
}

/** Sends it and reads the answer to its end, JSON or event stream. */
export async function post(
  url: string,
  { body, headers }: RawRequest,
  extraHeaders: Record<string, string> = {},
): Promise<RawAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...USUAL, ...headers, ...extraHeaders },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
  const messages = isStream ? eventData(text) : text === '' ? [] : [text]
  return {
    status: response.status,
    headers: response.headers,
    messages: messages.map((message) => JSON.parse(message)),
  }
}

const eventData = (text: string) =>
  [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data = '']) => data).filter((data) => data !== '')
