import type { Reply } from './reply.ts'

export type FaultRoute = 'messages' | 'count_tokens' | 'models'

/** Faults that any route can show. `on` is the route whose next request is meant; messages if absent. */
export type PlainFault = { on?: FaultRoute; delayMs?: number } & (
  | { kind: 'pass' }
  /** Nothing but `delayMs` before the first byte of a normal answer. */
  | { kind: 'delay'; delayMs: number }
  /** An error in the API's envelope. There is a `retry-after` header only if `retryAfter` is given. */
  | {
      kind: 'status'
      status: number
      type?: string
      message?: string
      details?: Record<string, unknown>
      /** Seconds, or the header's text. */
      retryAfter?: number | string
      headers?: Record<string, string>
    }
  /** Any bytes, `application/json` unless `headers` says otherwise: an edge's page, broken JSON under 200. */
  | Unheard<{ kind: 'raw'; status: number; body: string; headers?: Record<string, string> }>
  | Unheard<{ kind: 'drop_before_headers' }>
)

/** `billed`: the model has answered all the same, and nobody hears of it. */
type Unheard<Kind> = Kind & { billed?: boolean }

/**
 * Faults of an answer that has begun. They happen after `afterChunks` text chunks, or once the text
 * has run out; 0 is right after `message_start`. A request without `stream` gets the nearest thing:
 * an error status, a body cut in half, or silence.
 */
export type StreamFault = { on?: 'messages'; delayMs?: number; afterChunks: number } & (
  | { kind: 'stream_error'; type: string; message?: string }
  /** The socket is destroyed, about 50 ms after the last byte so that the client sees a cut, not a failed connect. */
  | { kind: 'stream_drop' }
  /** A clean end of the body without `message_stop`. */
  | { kind: 'stream_end' }
  /** Nothing more comes until the client leaves, except a ping every `pingEveryMs` if given. */
  | { kind: 'stream_stall'; pingEveryMs?: number }
)

export type ReplyFault = { kind: 'reply'; reply: Reply; on?: 'messages'; delayMs?: number }

export type Fault = PlainFault | StreamFault | ReplyFault

const KINDS = new Set<string>([
  'pass',
  'delay',
  'status',
  'raw',
  'drop_before_headers',
  'stream_error',
  'stream_drop',
  'stream_end',
  'stream_stall',
  'reply',
] satisfies Fault['kind'][])

/** One-shot queues, one per route: each request takes the next entry of its own. */
export class FaultQueue {
  #queued: Fault[] = []

  add(faults: Fault[]): void {
    const unknown = faults.find(({ kind }) => !KINDS.has(kind))
    if (unknown) throw new TypeError(`There is no fault of kind '${unknown.kind}'.`)
    this.#queued.push(...faults)
  }

  take(route: FaultRoute): Fault | undefined {
    const index = this.#queued.findIndex(({ on = 'messages' }) => on === route)
    return index < 0 ? undefined : this.#queued.splice(index, 1)[0]
  }

  clear(): void {
    this.#queued = []
  }
}

export function isStreamFault(fault: Fault | undefined): fault is StreamFault {
  return fault?.kind.startsWith('stream_') ?? false
}
