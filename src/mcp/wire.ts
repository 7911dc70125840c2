/**
 * JSON as it goes out. Some readers of lines end one at U+2028, U+2029 or U+0085 too (ECMAScript
 * before 2019, Python's splitlines), in the middle of a `data:` line or of a message. JSON may hold
 * them, and may escape them.
 */

import type { ServerResponse } from 'node:http'

const LINE_ENDS = /[\u0085\u2028\u2029]/g
/** The same in UTF-8. */
const LINE_END_BYTES = ['\u0085', '\u2028', '\u2029'].map((text) => Buffer.from(text))

export const toWire = (message: object): string => escaped(JSON.stringify(message))

const escaped = (json: string) =>
  json.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Tokens and passwords are in these answers, and other things that are for no cache. */
export const NO_STORE = 'no-store'
export const STREAM_CACHING = `${NO_STORE}, no-transform`

/**
 * For a response that an SDK writes: its JSON is escaped on the way, and no cache keeps it. The SDKs
 * write each message whole, and no length can be told before.
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

/** Of `writeHead`'s arguments, which may be a reason phrase, and a list or an object of headers. */
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
