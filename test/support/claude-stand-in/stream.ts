import { errorBody } from './api-error.ts'
import type { Exchange } from './exchange.ts'
import type { StreamFault } from './faults.ts'
import { type Frame, framesOf, PING, rawEvent } from './frames.ts'
import type { FinishedMessage } from './message.ts'
import type { State } from './state.ts'

/** A cut right behind the first bytes would look like a failed connect to the client. */
export const CUT_DELAY_MS = 50

const HEADERS = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }

export interface StreamJob {
  exchange: Exchange
  message: FinishedMessage
  headers: Record<string, string>
  fault: StreamFault | undefined
  /** Books output tokens at the moment they are produced. */
  onTokens: (tokens: number) => void
}

/** Writes a message as server-sent events, up to the point where its fault strikes. */
export async function writeStream(state: State, job: StreamJob): Promise<void> {
  const { exchange, message, headers, fault, onTokens } = job
  const frames = framesOf(message, state)
  exchange.begin(200, { ...HEADERS, ...headers })
  if (!fault && state.chunkDelayMs === 0 && message.answer.thinkingMs === 0) {
    exchange.end(joined(frames, onTokens))
    return
  }
  state.streams.open += 1
  const outcome = await writeFrames(state, job, frames)
  if (outcome === 'fault' && fault) await strike(fault, exchange, state)
  state.streams.open -= 1
  if (outcome === 'gone') state.streams.aborted += 1
}

/** Without pauses one write is enough, and much the fastest. */
function joined(frames: Iterable<Frame>, onTokens: (tokens: number) => void): string {
  let data = ''
  let total = 0
  for (const frame of frames) {
    data += frame.data
    total += frame.tokens
  }
  onTokens(total)
  return data
}

async function writeFrames(
  state: State,
  { exchange, fault, onTokens }: StreamJob,
  frames: Iterable<Frame>,
): Promise<'done' | 'gone' | 'fault'> {
  let chunks = 0
  for (const { kind, data, tokens, pauseMs: thinkingMs = 0 } of frames) {
    if (fault && (kind === 'end' || (chunks >= fault.afterChunks && kind !== 'start')))
      return 'fault'
    const pauseMs = kind === 'text' && chunks > 0 ? state.chunkDelayMs : thinkingMs
    if (pauseMs > 0) await exchange.wait(pauseMs)
    if (exchange.isGone) return 'gone'
    if (data !== '') exchange.write(data)
    onTokens(tokens)
    if (kind === 'text') chunks += 1
  }
  exchange.end()
  return 'done'
}

async function strike(fault: StreamFault, exchange: Exchange, state: State): Promise<void> {
  if (fault.kind === 'stream_error') {
    const { type, message = 'Scripted by the test.' } = fault
    const body = errorBody({ type, message, details: undefined }, exchange.requestId)
    exchange.end(rawEvent('error', body))
  } else if (fault.kind === 'stream_end') {
    exchange.end()
  } else if (fault.kind === 'stream_drop') {
    if (await exchange.wait(CUT_DELAY_MS)) exchange.destroy()
  } else {
    await stall(fault.pingEveryMs, exchange)
    state.streams.aborted += 1
  }
}

async function stall(pingEveryMs: number | undefined, exchange: Exchange): Promise<void> {
  if (!pingEveryMs) return exchange.untilGone()
  while (await exchange.wait(pingEveryMs)) exchange.write(PING)
}
