/** Requests to /mcp written by hand: what an official client would never send, or never show. */

import type { Era } from '../support/start-app.ts'

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
  const name = `claude-api-gateway_${tool}`
  return rpc(era, 'tools/call', { name, arguments: args }, { id, name, progressToken })
}

/** A resources/read of either era. */
export const resourceRead = (era: Era, uri: string): RawRequest =>
  rpc(era, 'resources/read', { uri }, { id: 1, name: uri })

type Frame = { id: unknown; name: string; progressToken?: string | number | undefined }

function rpc(era: Era, method: string, params: object, { id, name, progressToken }: Frame) {
  const progress = progressToken === undefined ? {} : { progressToken }
  const meta = era === 'legacy' ? progress : { ...MODERN_META, ...progress }
  const body = { jsonrpc: '2.0', id, method, params: { ...params, _meta: meta } }
  const headers: Record<string, string> =
    era === 'legacy'
      ? { 'MCP-Protocol-Version': '2025-11-25' }
      : { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method, 'Mcp-Name': name }
  return { body, headers }
}

const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
}

/** Sends it and reads the answer to its end, JSON or event stream. */
export async function post(
  url: string,
  { body, headers }: RawRequest,
  extraHeaders: Record<string, string> = {},
): Promise<RawAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...BASE_HEADERS, ...headers, ...extraHeaders },
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

const BASE_HEADERS = {
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
}

const eventData = (text: string) =>
  [...text.matchAll(/^data: ?(.*)$/gm)].map(([, data = '']) => data).filter((data) => data !== '')

export const bearer = (accessToken: string) => ({ Authorization: `Bearer ${accessToken}` })
