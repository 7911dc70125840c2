/** How the answer to one tool call goes over HTTP (MCP, Streamable HTTP): one response, one call. */

import type { ServerResponse } from 'node:http'
import { KEEP_ALIVE_MS } from '../protocol/server-info.ts'
import { NO_STORE, STREAM_CACHING, toWire } from '../wire.ts'

export type CallAnswer = {
  /** Whether what was said before was taken: a notification would only wait behind it. */
  isTaken(): boolean
  /** Shows a notification to a client that reads along. */
  notify(message: object): void
  /** The last thing that is said. */
  finish(message: object): void
}

/** All at once, as JSON. It has no room for notifications, and its tools send none. */
export function jsonResponse(res: ServerResponse): CallAnswer {
  return {
    isTaken: () => true,
    notify() {},
    finish(message) {
      if (isGone(res)) return
      const body = toWire(message)
      res.writeHead(200, {
        'Cache-Control': NO_STORE,
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
      })
      res.end(body)
    },
  }
}

const STREAM_HEADERS = {
  'Cache-Control': STREAM_CACHING,
  Connection: 'keep-alive',
  'Content-Type': 'text/event-stream',
  'X-Accel-Buffering': 'no',
}

/** Who waits longer than this for the first word is shown that the stream is open. */
const OPEN_AFTER_MS = 250

/** As a stream of events, whose head goes with the first of them when that comes soon. */
export function sseResponse(res: ServerResponse): CallAnswer {
  const write = (text: string) => {
    if (!isGone(res)) res.write(text)
  }
  const opening = setTimeout(() => res.flushHeaders(), OPEN_AFTER_MS).unref()
  const isTaken = () => isDrained(res)
  const showLife = () => {
    if (isTaken()) write(': keepalive\n\n')
  }
  const keepAlive = setInterval(showLife, KEEP_ALIVE_MS).unref()
  const stopTimers = () => {
    clearTimeout(opening)
    clearInterval(keepAlive)
  }
  res.on('close', stopTimers)
  res.writeHead(200, STREAM_HEADERS)
  return {
    isTaken,
    notify: (message) => write(toEvent(message)),
    finish(message) {
      stopTimers()
      if (!isGone(res)) res.end(toEvent(message))
    },
  }
}

const toEvent = (message: object) => `event: message\ndata: ${toWire(message)}\n\n`

/** Whether the socket has room. Before its turn in a pipeline a response has none. */
export const isDrained = (res: ServerResponse) =>
  res.writableLength < MAX_WAITING_BYTES && !(res.socket?.writableNeedDrain ?? false)

/** Less than one notification, which is as much as may wait. */
const MAX_WAITING_BYTES = 1024

const isGone = (res: ServerResponse) => res.destroyed || res.writableEnded

/** JSON-RPC 2.0, section 5.1: an error of no kind that this gateway knows. */
const INTERNAL_ERROR = -32603

/** What was thrown, as the SDKs put it on the wire: with its code and data when it has some. */
export function toRpcError(thrown: unknown) {
  const { code, message, data } = (thrown ?? {}) as Record<string, unknown>
  return {
    code: Number.isSafeInteger(code) ? code : INTERNAL_ERROR,
    message: message ?? 'Internal error',
    ...(data === undefined ? {} : { data }),
  }
}
