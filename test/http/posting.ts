/** Requests to /mcp as bytes on the wire, for what the official clients never send. */

import { request } from 'node:http'
import { text } from 'node:stream/consumers'

export type Answered = {
  status: number
  headers: Headers
  text: string
  /** As JSON.parse gives it; undefined for a body that is no JSON. */
  json: ReturnType<typeof JSON.parse>
}

export const TOOL_PREFIX = 'claude-api-gateway_'

export const USUAL = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

/** POSTs a message, or text as it is, with the headers every MCP client sends. */
export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answered> {
  const raw = typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...USUAL, ...headers },
    body: raw ? (body as string) : JSON.stringify(body),
  })
  return answered(response.status, response.headers, await response.text())
}

export async function get(url: string, headers: Record<string, string> = {}): Promise<Answered> {
  const response = await fetch(url, { headers })
  return answered(response.status, response.headers, await response.text())
}

/** With any headers at all, Host among them, which fetch makes itself. */
export async function postByHand(
  url: string,
  body: unknown,
  headers: Record<string, string>,
  method = 'POST',
): Promise<Answered> {
  const { port, hostname, pathname } = new URL(url)
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    request(
      {
        host: hostname,
        port,
        path: pathname,
        method,
        headers: { ...USUAL, ...headers },
        agent: false,
      },
      resolve,
    )
      .on('error', reject)
      .end(WITHOUT_BODY.includes(method) ? undefined : JSON.stringify(body))
  })
  const received = Object.entries(response.headers).map(([name, value]) => [name, String(value)])
  return answered(
    response.statusCode ?? 0,
    new Headers(received as [string, string][]),
    await text(response),
  )
}

/** With these Node.js does not say how long a body is. */
const WITHOUT_BODY = ['GET', 'HEAD', 'DELETE', 'OPTIONS']

function answered(status: number, headers: Headers, body: string): Answered {
  return { status, headers, text: body, json: parsed(body, headers.get('content-type') ?? '') }
}

/** Of an event stream the last message, which is the answer. */
function parsed(body: string, contentType: string): unknown {
  const data = contentType.startsWith('text/event-stream')
    ? body.split('\n').findLast((line) => line.startsWith('data: {'))
    : body
  try {
    return JSON.parse((data ?? '').replace(/^data: /, ''))
  } catch {
    return undefined
  }
}

export const bearer = (accessToken: string) => ({ authorization: `Bearer ${accessToken}` })

export const message = (method: string, params?: object) => ({
  jsonrpc: '2.0',
  id: 1,
  method,
  ...(params ? { params } : {}),
})

/** A tools/call of a gateway's tool, by its name without the prefix. */
export const toolCall = (tool: string, args: unknown = {}) => ({
  ...message('tools/call'),
  params: { name: TOOL_PREFIX + tool, arguments: args },
})

export const MODERN = '2026-07-28'

type Plain = { method: string; params?: object }

/** The message of the earlier era, as its last revision has it. */
export const legacy = <Message extends Plain>(plain: Message) => ({
  body: plain,
  headers: { 'mcp-protocol-version': '2025-11-25' } as Record<string, string>,
})

/** The same message in the modern era: its envelope, and the headers that mirror it. */
export function modern(plain: Plain, version = MODERN) {
  const { method, params = {} } = plain
  const { name, uri, _meta: own } = params as { name?: string; uri?: string; _meta?: object }
  const mirrored = name ?? uri
  const _meta = {
    ...own,
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': { name: 'wire', version: '1.0.0' },
  }
  return {
    body: { ...plain, params: { ...params, _meta } },
    headers: {
      'mcp-protocol-version': version,
      'mcp-method': method,
      ...(mirrored === undefined ? {} : { 'mcp-name': mirrored }),
    } as Record<string, string>,
  }
}
