import type { Response } from 'express'
import { EXPORT_DEADLINE_MS } from '../services/accounts/export.ts'

/**
 * Sends a user's document as a file, piece by piece: the next is read when the one before was taken,
 * so that a download costs one piece of memory, however slow its reader is.
 *
 * @throws AppError before anything was sent, when the document cannot be had.
 */
export async function sendExport(
  res: Response,
  pieces: AsyncIterable<string>,
  deadlineMs = EXPORT_DEADLINE_MS,
): Promise<void> {
  const reading = pieces[Symbol.asyncIterator]()
  const deadline = setTimeout(() => res.destroy(), deadlineMs).unref()
  try {
    // Before the headers are sent: what fails at once can still be answered as a failure.
    let piece = await reading.next()
    const today = new Date().toISOString().slice(0, 10)
    res.setHeader('Cache-Control', 'no-store')
    res.type('json').attachment(`claude-api-gateway-${today}.json`)
    for (; !piece.done && !res.destroyed; piece = await reading.next()) {
      if (!res.write(piece.value)) await taken(res)
    }
    res.end()
  } catch (error) {
    // Half a document must not look like a whole one.
    if (res.headersSent) res.destroy()
    throw error
  } finally {
    clearTimeout(deadline)
    await reading.return?.()
  }
}

/** Also when its reader is gone: a download that was given up is no failure of ours. */
function taken(res: Response): Promise<void> {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve()
    const done = () => {
      res.off('drain', done).off('close', done)
      resolve()
    }
    res.on('drain', done).on('close', done)
  })
}
