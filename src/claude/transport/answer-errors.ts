/**
 * Classifies responses other than the expected answer: an error of Anthropic, or a response of
 * something in between: a proxy, a firewall, a network's sign-in page, another server.
 */

import { APIConnectionError, APIError } from '@anthropic-ai/sdk/core/error'
import { fieldsOf } from '../upstream-value.ts'
import { parseJson } from './event-stream.ts'
import type { Head } from './exchange.ts'

/** A response that does not come from Anthropic. */
export class ForeignAnswer extends APIError {
  get isOfLateness(): boolean {
    return isOfLateness(this.status ?? 0)
  }
}

/**
 * Whether a status reports only that a forwarded request got no answer in time (RFC 9110, section
 * 15.6.5; 524 is Cloudflare's): from a proxy, the request may have reached Anthropic, and be billed.
 */
export const isOfLateness = (status: number): boolean => status === 504 || status === 524

/** Nothing was sent: the proxy could not be reached. */
export class ProxyAway extends APIConnectionError {
  constructor({ cause }: { cause: Error }) {
    super({ cause })
  }
}

/** An answer of Anthropic, maybe billed, in a form that the gateway cannot read. */
export class UnreadableAnswer extends Error {}

/**
 * @param text the body, or the beginning of a long one.
 * @returns an APIError with Anthropic's own message, a {@link ForeignAnswer} or an
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
  // With status 200, only the error's type classifies it.
  if (status === 200) return new APIError(undefined, body, undefined, headers)
  return APIError.generate(status, body, undefined, headers)
}

export const requestIdOf = ({ headers }: Head): string | null =>
  [headers['request-id'] ?? null].flat()[0] ?? null

/** Anthropic API docs: Errors. */
export function isErrorBody(body: object | undefined): body is object {
  const { type, error } = fieldsOf(body)
  const { type: kind, message } = fieldsOf(error)
  return type === 'error' && typeof kind === 'string' && typeof message === 'string'
}

/** A whole message instead of a stream, or a stream with another content type, made by a proxy. */
export const isAnswer = (text: string): boolean =>
  /^\s*\{.*"type"\s*:\s*"message"/s.test(text) || /^\s*(event|data)?:/.test(text)

function toHeaders(headers: Head['headers']): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((single): [string, string] => [name, single]),
    ),
  )
}
