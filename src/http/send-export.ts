import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Response } from 'express'

/** Sends a user's document as a file, piece by piece, as fast as it is taken. */
export async function sendExport(res: Response, pieces: AsyncIterable<string>): Promise<void> {
  const exported = Readable.from(pieces)
  // Before the headers are sent: what fails at once can still be answered as a failure.
  await once(exported, 'readable')
  const today = new Date().toISOString().slice(0, 10)
  res.setHeader('Cache-Control', 'no-store')
  res.type('json').attachment(`claude-api-gateway-${today}.json`)
  await pipeline(exported, res).catch((error: unknown) => {
    if (!isClientGone(error)) throw error
  })
}

/** A download that was given up is no failure of ours. */
const isClientGone = (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
