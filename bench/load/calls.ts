/** Requests as the clients of each server write them, with the places the generator fills in. */

import { MODEL, PHRASE } from '../servers/claude-answer.ts'
import type { Job } from './job.ts'

export type Era = '2025-11-25' | '2026-07-28'
export const ERAS: readonly Era[] = ['2025-11-25', '2026-07-28']

/** What the generator needs to know of a request; who sends it is in the items. */
export type Call = Pick<Job, 'path' | 'headers' | 'body' | 'expect'>

const BASE_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1.0.0' },
}

type CallOptions = { progress?: boolean; expect: string }

/** A tools/call of any MCP server. `{{value}}` may stand in an argument. */
export function toolCall(
  era: Era,
  name: string,
  args: object,
  { progress = false, expect }: CallOptions,
): Call {
  const meta = {
    ...(era === '2026-07-28' ? MODERN_META : {}),
    ...(progress ? { progressToken: '{{id}}' } : {}),
  }
  const params = { name, arguments: args, ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}) }
  const body = JSON.stringify({ jsonrpc: '2.0', id: '{{id}}', method: 'tools/call', params })
  const modern = { 'mcp-method': 'tools/call', 'mcp-name': name }
  return {
    path: '/mcp',
    headers: {
      ...BASE_HEADERS,
      'mcp-protocol-version': era,
      ...(era === '2026-07-28' ? modern : {}),
    },
    // The id is a number.
    body: body.replaceAll('"{{id}}"', '{{id}}'),
    expect,
  }
}

/** A call of one of the gateway's tools. Every good answer says success. */
export const gatewayCall = (era: Era, tool: string, args: object, options?: Partial<CallOptions>) =>
  toolCall(era, `claude-api-gateway_${tool}`, args, { expect: '"success":true', ...options })

/** What every client says in every case that sends messages. */
export const QUESTION = 'What does the fox jump over? Answer in one sentence, please.'

export const sendMessage = (era: Era, options: { progress?: boolean } = {}) =>
  gatewayCall(
    era,
    'send_message',
    { message: QUESTION, conversation_id: '{{value}}' },
    { expect: '"status":"complete"', ...options },
  )

export type ChatMessage = { role: 'user' | 'assistant'; text: string }

/** `POST /v1/messages` as a client of a forwarder sends it, which keeps the history itself. */
export function postMessages(history: readonly ChatMessage[], { stream = false } = {}): Call {
  const messages = [...history, { role: 'user', text: QUESTION }].map(({ role, text }) => ({
    role,
    content: [{ type: 'text', text }],
  }))
  return {
    path: '/v1/messages',
    headers: {
      'content-type': 'application/json',
      'anthropic-version': '2023-06-01',
      'x-api-key': 'sk-ant-api03-bench',
    },
    body: JSON.stringify({ model: MODEL, max_tokens: 4096, messages, stream }),
    expect: PHRASE,
  }
}
