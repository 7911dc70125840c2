/** Tool calls as bare HTTP: for status codes and headers, which the official clients do not show. */

import type { Era } from '../support/start-app.ts'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
}

type Extra = { headers?: Record<string, string>; id?: number; signal?: AbortSignal }

/** POSTs `method` as a client of that era would. */
export function post(
  url: string,
  era: Era,
  method: string,
  params: Record<string, unknown> = {},
  { headers = {}, id = 1, signal }: Extra = {},
): Promise<Response> {
  const isModern = era === 'modern'
  const mirrored = {
    'MCP-Protocol-Version': '2026-07-28',
    'Mcp-Method': method,
    ...(typeof params.name === 'string' ? { 'Mcp-Name': params.name } : {}),
    ...(typeof params.uri === 'string' ? { 'Mcp-Name': params.uri } : {}),
  }
  return fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(isModern ? mirrored : { 'MCP-Protocol-Version': '2025-11-25' }),
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      ...(method.startsWith('notifications/') ? {} : { id }),
      method,
      params: isModern ? { ...params, _meta: META } : params,
    }),
    ...(signal ? { signal } : {}),
  })
}

/** A call of a tool by its name without the prefix. */
export function postCall(
  url: string,
  era: Era,
  tool: string,
  args: Record<string, unknown> = {},
  extra: Extra = {},
): Promise<Response> {
  const params = { name: `claude-api-gateway_${tool}`, arguments: args }
  return post(url, era, 'tools/call', params, extra)
}

/**
 * The structured result of a call, as JSON.parse gives it, from the last event or the whole body.
 *
 * @throws Error when there is none: the stream ended before its result.
 */
export function resultIn(body: string): ReturnType<typeof JSON.parse> {
  const events = body.split('\n').filter((line) => line.startsWith('data: {'))
  const { result } = JSON.parse(events.at(-1)?.slice('data: '.length) ?? body)
  if (result === undefined) throw new Error('there was no result')
  return result.structuredContent
}
