/** Sends the answer to one tool call over HTTP (MCP, Streamable HTTP): one response per call. */

import type { ServerResponse } from 'node:http'
import { KEEP_ALIVE_MS } from '../protocol/server-info.ts'
import { isDrained, NO_STORE, STREAM_CACHING, toWire } from '../wire.ts'

export type CallAnswer = {
  /** Whether earlier messages were sent: another notification would only queue behind them. */
  isTaken(): boolean
  /** Sends a notification to a streaming client. */
  notify(message: object): void
  /** Sends the final message. */
  finish(message: object): void
}

/** One JSON body. It cannot carry notifications, and its tools send none. */
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

/** If the first event takes longer than this, the headers are sent, which open the stream. */
const OPEN_AFTER_MS = 250

/** An event stream. Its headers go out with the first event if that comes soon. */
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

const isGone = (res: ServerResponse) => res.destroyed || res.writableEnded

/** JSON-RPC 2.0, section 5.1: internal error, for errors without a code. */
const INTERNAL_ERROR = -32603

/** Formats a thrown error as the SDKs do: with its code and data if it has them. */
export function toRpcError(thrown: unknown) {
  const { code, message, data } = (thrown ?? {}) as Record<string, unknown>
  return {
    code: Number.isSafeInteger(code) ? code : INTERNAL_ERROR,
    message: message ?? 'Internal error',
    ...(data === undefined ? {} : { data }),
  }
}
