import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApiError } from './api-error.ts'
import { CONTROL_PREFIX, control } from './control.ts'
import { keyOf } from './credentials.ts'
import { Exchange, readBody } from './exchange.ts'
import type { Fault } from './faults.ts'
import type { JournalEntry } from './journal.ts'
import type { Billed } from './ledger.ts'
import type { ReplySource } from './reply.ts'
import { route } from './routes.ts'
import { type StandInOptions, State } from './state.ts'

const MAX_BODY_BYTES = 32 * 1024 * 1024
/** Longer than any client keeps an idle socket, so that none is closed under a request. */
const KEEP_ALIVE_MS = 120_000

/** A strict local replacement for api.anthropic.com, and what a test may ask or tell it. */
export interface ClaudeStandIn {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** Every API request that arrived whole, oldest first; the newest 10 000 or 64 MB are kept. */
  readonly journal: JournalEntry[]
  /** The journal's `POST /v1/messages` entries, in order. */
  messageRequests(): JournalEntry[]
  /**
   * Queues one-shot faults; each `POST /v1/messages` uses up one (other routes those with their `on`).
   *
   * @throws TypeError for an unknown kind.
   */
  script(...faults: Fault[]): void
  /** What is answered from now on; undefined is an echo of the last user text. */
  setReply(reply: ReplySource): void
  /** Undefined lets any key in. */
  setValidKeys(keys: string[] | undefined): void
  /**
   * What Anthropic would have billed, of one key or of all: input once an answer has begun, output
   * as far as it was produced, nothing for errors and for refusals before any output.
   */
  billed(key?: string): Billed
  /** Streams being written now. */
  openStreams(): number
  /** Streams whose client left before `message_stop`. */
  abortedStreams(): number
  /** Forgets queue, journal, cache, bill and reply. */
  reset(): void
  close(): Promise<void>
}

/** Starts a stand-in, on a free port of 127.0.0.1 unless told otherwise. */
export async function startClaudeStandIn(options: StandInOptions = {}): Promise<ClaudeStandIn> {
  const { port = 0, host = '127.0.0.1' } = options
  const state = new State(options)
  const server = createServer((req, res) => void serve(state, req, res, options.control ?? false))
  server.keepAliveTimeout = KEEP_ALIVE_MS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    journal: state.journal.entries,
    messageRequests: () => state.journal.messageRequests(),
    script: (...faults) => state.faults.add(faults),
    setReply: (reply) => {
      state.reply = reply
    },
    setValidKeys: (keys) => state.setValidKeys(keys),
    billed: (key) => state.ledger.billed(key),
    openStreams: () => state.streams.open,
    abortedStreams: () => state.streams.aborted,
    reset: () => state.reset(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function serve(
  state: State,
  req: IncomingMessage,
  res: ServerResponse,
  isControlled: boolean,
): Promise<void> {
  // A client that leaves is no fault of the server: whoever writes notices by `isGone`.
  req.on('error', () => {})
  res.on('error', () => {})
  let exchange: Exchange | undefined
  try {
    const body = await readBody(req, MAX_BODY_BYTES)
    const entry = entryOf(req, body ?? '', state.now())
    const isControl = isControlled && entry.path.startsWith(CONTROL_PREFIX)
    exchange = new Exchange(res, isControl ? entry : state.journal.add(entry))
    if (body === undefined) throw new ApiError(413, 'Request exceeds the maximum size')
    await (isControl ? control(state, exchange) : route(state, exchange))
  } catch (error) {
    exchange?.sendError(error instanceof ApiError ? error : new ApiError(500, String(error)))
  }
}

function entryOf(req: IncomingMessage, body: string, at: number): JournalEntry {
  const { method = '', url: path = '', headers } = req
  return {
    method,
    path,
    headers,
    body,
    json: parsed(body),
    key: keyOf(headers),
    status: undefined,
    billed: undefined,
    at,
  }
}

function parsed(body: string): unknown {
  if (body === '') return undefined
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
