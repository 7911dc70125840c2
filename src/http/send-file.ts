import type { Response } from 'express'
import { EXPORT_DEADLINE_MS } from '../services/accounts/export.ts'

/** `name` may hold any text. */
type SentFile = { type: string; name: string }

/** All data of a user. */
export const exportFile = (): SentFile => ({
  type: 'json',
  name: `claude-api-gateway-${new Date().toISOString().slice(0, 10)}.json`,
})

/**
 * Streams a user's document as a file, with backpressure: the next piece is read when the one
 * before was sent, so a download holds one piece in memory, however slow its reader is.
 *
 * @throws AppError before anything is sent, when the document is unavailable.
 */
export async function sendFile(
  res: Response,
  pieces: AsyncIterable<string>,
  { type, name }: SentFile,
  deadlineMs = EXPORT_DEADLINE_MS,
): Promise<void> {
  const reading = pieces[Symbol.asyncIterator]()
  const deadline = setTimeout(() => res.destroy(), deadlineMs).unref()
  try {
    // Read before the headers are sent, so that an early failure can still be an error response.
    let piece = await reading.next()
    res.setHeader('Cache-Control', 'no-store')
    res.attachment(name).type(type)
    for (; !piece.done && !res.destroyed; piece = await reading.next()) {
      if (!res.write(piece.value)) await taken(res)
    }
    res.end()
  } catch (error) {
    // A partial document must not look complete.
    if (res.headersSent) res.destroy()
    throw error
  } finally {
    clearTimeout(deadline)
    await reading.return?.()
  }
}

/** Resolves on drain, and on close: a download that its reader aborted is not an error. */
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
