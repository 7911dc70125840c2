import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeEach } from 'vitest'
import { type ClaudeStandIn, startClaudeStandIn } from './server.ts'
import type { StandInOptions } from './state.ts'

export const SONNET = 'claude-sonnet-5-5'
export const OLD_SONNET = 'claude-sonnet-4-6'
/** Thinking that a chat without tools does not show. */
export const QUIET = { thinking: { type: 'between_tools' as const } }

/** A stand-in for the tests of one file, as good as new before each of them. */
export async function standInForTests(options: StandInOptions = {}): Promise<ClaudeStandIn> {
  const standIn = await startClaudeStandIn(options)
  beforeEach(() => {
    standIn.reset()
    standIn.setValidKeys(undefined)
  })
  afterAll(() => standIn.close())
  return standIn
}

export function client(
  { url: baseURL }: Pick<ClaudeStandIn, 'url'>,
  apiKey = 'sk-ant-one',
): Anthropic {
  return new Anthropic({ apiKey, baseURL, maxRetries: 0, logLevel: 'off', openTelemetry: false })
}

/** A request of one user message. */
export function ask(
  content: string,
  extra: Partial<Anthropic.MessageCreateParamsNonStreaming> = {},
) {
  const messages = [{ role: 'user' as const, content }]
  return { model: SONNET, max_tokens: 1000, messages, ...extra }
}

export interface Posted {
  body?: unknown
  path?: string
  /** `undefined` removes a header that is sent by default. */
  headers?: Record<string, string | undefined>
}

/** A POST with nothing between the test and the wire. */
export async function post(standIn: ClaudeStandIn, posted: Posted) {
  const { body = ask('hi'), path = '/v1/messages', headers } = posted
  const all = { 'x-api-key': 'sk-ant-one', 'anthropic-version': '2026-10-21', ...headers }
  const response = await fetch(standIn.url + path, {
    method: 'POST',
    headers: Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined),
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const text = await response.text()
  const json = text.startsWith('{') ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, json, error: json?.error }
}

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2))
}
