import { AppError } from '../../../errors.ts'

/** The directory of a zip is at its end, so all of it is held in memory. */
export const MAX_ZIP_MIB = 64
const MAX_BYTES = MAX_ZIP_MIB * 1024 * 1024
const FIRST_BYTES = 256 * 1024

/** Reads a zip into one buffer, which doubles. @throws AppError request_too_large. */
export async function spooledZip(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  let buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  let length = 0
  for await (const piece of pieces) {
    const end = length + piece.length
    if (end > MAX_BYTES) throw zipTooLarge()
    if (end > buffer.length) buffer = widened(buffer, length, end)
    piece.copy(buffer, length)
    length = end
  }
  return buffer.subarray(0, length)
}

function widened(buffer: Buffer, length: number, needed: number): Buffer {
  const wider = Buffer.allocUnsafe(Math.min(MAX_BYTES, Math.max(needed, 2 * buffer.length)))
  buffer.copy(wider, 0, 0, length)
  return wider
}

const zipTooLarge = () =>
  new AppError(
    'request_too_large',
    `A zip may have at most ${MAX_ZIP_MIB} MiB. Unpack it, and send the conversations.json in it.`,
  )
