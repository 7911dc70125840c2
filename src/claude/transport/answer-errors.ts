/**
 * What an answer says that is not the one that was asked for: Anthropic's own error, or the word of
 * something that stands between: a proxy, a firewall, the sign-in page of a network, another server.
 */

import { APIConnectionError, APIError } from '@anthropic-ai/sdk/core/error'
import { fieldsOf } from '../upstream-value.ts'
import { parseJson } from './event-stream.ts'
import type { Head } from './exchange.ts'

/** Not by Anthropic. */
export class ForeignAnswer extends APIError {
  /**
   * Whether it says of a request that was sent on only that no answer came in time (RFC 9110, section
   * 15.6.5; 524 is Cloudflare's): the request may be with Anthropic, and billed.
   */
  get isOfLateness(): boolean {
    return this.status === 504 || this.status === 524
  }
}

/** Nothing was sent: the proxy on the way was not there. */
export class ProxyAway extends APIConnectionError {
  constructor({ cause }: { cause: Error }) {
    super({ cause })
  }
}

/** By Anthropic, and maybe billed, in a form that the gateway cannot read. */
export class UnreadableAnswer extends Error {}

/**
 * @param text of the body, or the beginning of a long one.
 * @returns an APIError with Anthropic's own words, a {@link ForeignAnswer} or an
 *   {@link UnreadableAnswer}.
 */
export function toAnswerError({ status, headers: given }: Head, text: string): Error {
  const headers = toHeaders(given)
  const body = parseJson(text)
  if (status === 200 && isAnswer(text)) return new UnreadableAnswer()
  const isSuccessOrRedirect = status !== 200 && status < 400
  if (!isErrorBody(body) || isSuccessOrRedirect) {
    return new ForeignAnswer(status, undefined, undefined, headers)
  }
  // Under a status of success, its type says what it is.
  if (status === 200) return new APIError(undefined, body, undefined, headers)
  return APIError.generate(status, body, undefined, headers)
}

export const requestIdOf = ({ headers }: Head): string | null =>
  [headers['request-id'] ?? null].flat()[0] ?? null

/** Anthropic API docs: Errors. */
function isErrorBody(body: object | undefined): body is object {
  const { type, error } = fieldsOf(body)
  const { type: kind, message } = fieldsOf(error)
  return type === 'error' && typeof kind === 'string' && typeof message === 'string'
}

/** All at once, which something made of the stream that was asked for, or a stream by another name. */
const isAnswer = (text: string) =>
  /^\s*\{.*"type"\s*:\s*"message"/s.test(text) || /^\s*(event|data)?:/.test(text)

function toHeaders(headers: Head['headers']): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((single): [string, string] => [name, single]),
    ),
  )
}
