/** The JSON files in what was sent: the file itself, or those in a zip. Nothing is written to disk. */

import { AppError } from '../../../errors.ts'
import { MAX_ZIP_MIB, spooledZip } from './zip-spool.ts'
import { zippedJson } from './zipped-json.ts'

const MIB = 1024 * 1024

export type Pieces = AsyncIterable<Buffer>

/** A zip begins with an entry, or with the end of its directory when it is empty. */
const ZIP_BEGINS = ['PK\x03\x04', 'PK\x05\x06']
const SIGNATURE_BYTES = 4

/**
 * Read each file before the next.
 *
 * @param maxMib of the body, and of all files in a zip together.
 * @throws AppError request_too_large; invalid_input for a zip that cannot be read.
 */
export async function* jsonFiles(body: Pieces, maxMib: number): AsyncGenerator<Pieces> {
  const pieces = atMost(body, maxMib)[Symbol.asyncIterator]()
  const { first, rest } = await begun(pieces)
  if (!ZIP_BEGINS.includes(first.toString('latin1', 0, SIGNATURE_BYTES))) yield rest
  else yield* zippedJson(await spooledZip(rest), maxMib * MIB)
}

/** The first bytes, and all of the file with them. */
async function begun(pieces: AsyncIterator<Buffer>) {
  let first: Buffer = Buffer.alloc(0)
  while (first.length < SIGNATURE_BYTES) {
    const { done, value } = await pieces.next()
    if (done) break
    first = first.length === 0 ? value : Buffer.concat([first, value])
  }
  async function* rest() {
    yield first
    yield* { [Symbol.asyncIterator]: () => pieces }
  }
  return { first, rest: rest() }
}

async function* atMost(body: Pieces, maxMib: number): Pieces {
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > maxMib * MIB) throw fileTooLarge(maxMib)
    yield piece
  }
}

const fileTooLarge = (maxMib: number) =>
  new AppError(
    'request_too_large',
    `The file has more than ${maxMib} MiB, which the operator sets by IMPORT_MAX_MIB. Send a zip of at most ${MAX_ZIP_MIB} MiB, or split conversations.json.`,
  )
