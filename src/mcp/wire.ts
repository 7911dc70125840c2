/**
 * Serialises JSON for the wire. Some line readers also break at U+2028, U+2029 or U+0085
 * (ECMAScript before 2019, Python's splitlines), in the middle of a `data:` line or message. JSON
 * allows these characters raw or escaped, so they are escaped.
 */

import type { ServerResponse } from 'node:http'

const LINE_ENDS = /[\u0085\u2028\u2029]/g
/** The same in UTF-8. */
const LINE_END_BYTES = ['\u0085', '\u2028', '\u2029'].map((text) => Buffer.from(text))

export const toWire = (message: object): string => escaped(JSON.stringify(message))

const escaped = (json: string) =>
  json.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** At most this much may be queued: less than one notification. */
const MAX_WAITING_BYTES = 1024

/** Whether the socket has room. A pipelined response has none before its turn. */
export const isDrained = (res: ServerResponse) =>
  res.writableLength < MAX_WAITING_BYTES && !(res.socket?.writableNeedDrain ?? false)

/** These answers hold tokens, passwords and other data that must not be cached. */
export const NO_STORE = 'no-store'
export const STREAM_CACHING = `${NO_STORE}, no-transform`

/**
 * Wraps a response that an SDK writes: escapes its JSON and forbids caching. The SDKs write each
 * message whole; its length changes, so Content-Length is removed.
 */
export function onWire(res: ServerResponse): ServerResponse {
  const { writeHead, write, end } = res as unknown as Record<string, (...args: unknown[]) => never>
  const own = {
    writeHead: (status: unknown, ...rest: unknown[]) =>
      writeHead?.call(res, status, ...rest.map(withOwnHeaders)),
    write: (chunk: unknown, ...rest: unknown[]) => write?.call(res, escapedChunk(chunk), ...rest),
    end: (chunk: unknown, ...rest: unknown[]) => end?.call(res, escapedChunk(chunk), ...rest),
  }
  return Object.assign(res, own)
}

/** Rewrites one argument of `writeHead`: a reason phrase, or a list or object of headers. */
function withOwnHeaders(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given
  const entries = Array.isArray(given) ? given.flat() : Object.entries(given).flat()
  const headers: Record<string, unknown> = {}
  for (let i = 0; i < entries.length; i += 2)
    headers[String(entries[i]).toLowerCase()] = entries[i + 1]
  delete headers['content-length']
  const isStream = String(headers['cache-control']).includes('no-transform')
  return { ...headers, 'cache-control': isStream ? STREAM_CACHING : NO_STORE }
}

function escapedChunk(chunk: unknown): unknown {
  if (typeof chunk === 'string') return escaped(chunk)
  if (!(chunk instanceof Uint8Array)) return chunk
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return LINE_END_BYTES.some((end) => bytes.includes(end)) ? escaped(bytes.toString()) : chunk
}
