/** Tool calls as bare HTTP: for status codes and headers, which the official clients do not show. */

import { legacy, modern, toolCall, USUAL } from '../http/posting.ts'
import type { Era } from '../support/start-app.ts'

type Extra = { headers?: Record<string, string>; id?: number; signal?: AbortSignal }

/** POSTs `method` as a client of that era would. */
export function post(
  url: string,
  era: Era,
  method: string,
  params: Record<string, unknown> = {},
  { headers = {}, id = 1, signal }: Extra = {},
): Promise<Response> {
  const plain = {
    jsonrpc: '2.0',
    ...(method.startsWith('notifications/') ? {} : { id }),
    method,
    params,
  }
  const { body, headers: own } = era === 'modern' ? modern(plain) : legacy(plain)
  const sent = new Headers({ ...USUAL, ...own })
  for (const [name, value] of Object.entries(headers)) sent.set(name, value)
  return fetch(url, {
    method: 'POST',
    headers: sent,
    body: JSON.stringify(body),
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
  const { method, params } = toolCall(tool, args)
  return post(url, era, method, params, extra)
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
