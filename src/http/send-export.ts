import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Response } from 'express'
import { EXPORT_DEADLINE_MS } from '../services/exports.ts'

/** Sends a user's document as a file, piece by piece, as fast as it is taken, but not for ever. */
export async function sendExport(
  res: Response,
  pieces: AsyncIterable<string>,
  deadlineMs = EXPORT_DEADLINE_MS,
): Promise<void> {
  const exported = Readable.from(pieces)
  // Before the headers are sent: what fails at once can still be answered as a failure.
  await once(exported, 'readable')
  const today = new Date().toISOString().slice(0, 10)
  res.setHeader('Cache-Control', 'no-store')
  res.type('json').attachment(`claude-api-gateway-${today}.json`)
  const signal = AbortSignal.timeout(deadlineMs)
  await pipeline(exported, res, { signal }).catch((error: unknown) => {
    if (!isGivenUp(error)) throw error
  })
}

/** A download that was given up, by its reader or for being slow, is no failure of ours. */
const isGivenUp = (error: unknown) =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ABORT_ERR')
