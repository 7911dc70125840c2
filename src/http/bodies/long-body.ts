/** Bodies that may take minutes, without letting their sender take for ever. */

import type { Request, Response } from 'express'
import { AppError } from '../../errors.ts'
import { allowLongRequest } from '../listener/long-requests.ts'

export type Pace = {
  /** The longest wait for the sender, besides the time that the bytes take at the slowest pace. */
  graceMs: number
  slowestBytesPerSecond: number
}

const PACE: Pace = { graceMs: 30_000, slowestBytesPerSecond: 32 * 1024 }
/** After an early answer, for which the sender may look only when all is sent. */
const LINGER_MS = 30_000

/**
 * The pieces of a body, as fast as they are taken. Only the time that is spent waiting for the
 * sender counts.
 *
 * @throws AppError invalid_input for a sender that is too slow, cancelled for one that is gone.
 */
export async function* longBody(
  req: Request,
  res: Response,
  pace: Pace = PACE,
): AsyncGenerator<Buffer, void, undefined> {
  begin(req, res)
  // Without this, giving up would cut the connection before the answer is sent.
  const pieces = req.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  let leftMs = pace.graceMs
  for (;;) {
    const since = performance.now()
    const next = await within(leftMs, pieces.next())
    if (next.done) return
    leftMs = leftAfter(pace, leftMs, performance.now() - since, next.value.length)
    yield next.value
  }
}

/**
 * The same limit for a body that its handler reads as a flowing stream.
 *
 * @param onLate called once, when the sender is too slow: the handler answers, or cuts.
 */
export function limitPace(
  req: Request,
  res: Response,
  onLate: (error: AppError) => void,
  pace: Pace = PACE,
): void {
  begin(req, res)
  let leftMs = pace.graceMs
  let since = performance.now()
  const late = () => onLate(tooSlow('request body'))
  let timer = setTimeout(late, leftMs)
  const onData = (piece: Buffer) => {
    const now = performance.now()
    leftMs = leftAfter(pace, leftMs, now - since, piece.length)
    since = now
    clearTimeout(timer)
    timer = setTimeout(late, Math.max(0, leftMs))
  }
  const over = () => {
    clearTimeout(timer)
    req.off('data', onData).off('end', over).off('error', over).off('close', over)
  }
  req.on('data', onData).on('end', over).on('error', over).on('close', over)
}

/** What is left of the grace after a wait that ended with some bytes. */
const leftAfter = (
  { graceMs, slowestBytesPerSecond }: Pace,
  leftMs: number,
  waitedMs: number,
  bytes: number,
) => Math.min(graceMs, leftMs - waitedMs + (bytes / slowestBytesPerSecond) * 1000)

async function within<T>(ms: number, piece: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow('file')), Math.max(0, ms))
  })
  try {
    return await Promise.race([piece.catch(gone), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Apart from what reads the body: a listener here would keep that until the answer ends. */
function begin(req: Request, res: Response): void {
  allowLongRequest(req, res)
  res.once('finish', () => endLater(req))
}

/** Ends the connection of a body that goes on after its answer. */
function endLater(req: Request): void {
  if (req.complete) return
  const { socket } = req
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref()
  req.once('end', () => clearTimeout(timer))
}

function gone(cause: unknown): never {
  throw new AppError('cancelled', 'The connection was closed before all of the file had come.', {
    cause,
  })
}

const tooSlow = (what: 'file' | 'request body') =>
  new AppError(
    'invalid_input',
    `The ${what} came too slowly. Send it over a faster connection, or compressed.`,
  )
