/** Reads a body whose sender is known, within its own limit and the bound of all bodies. */

import type { Transform } from 'node:stream'
import zlib from 'node:zlib'
import type { Request, Response } from 'express'
import type { Memory } from '../../concurrency/memory.ts'
import { AppError } from '../../errors.ts'
import { SMALL_BODY_BYTES } from '../bodies/admit-body.ts'
import type { BodyBudget, Held } from '../bodies/body-budget.ts'
import { CollectedBytes } from '../bodies/collected-bytes.ts'
import { limitPace, type Pace } from '../bodies/long-body.ts'

/** As Anthropic's own limit. */
export const MAX_API_BODY_BYTES = 32 * 1024 * 1024

export type ReadBody = {
  bytes: Buffer
  /** Gives its room back. Idempotent. */
  release: () => void
}

/** The bounds that all bodies share. */
export type ApiBodyRooms = {
  budget: BodyBudget
  memory: Pick<Memory, 'refuseWhenShort'>
  pace?: Pace
}

/** Node.js has zstd from 22.15 on. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform }

const DECODERS = new Map<string, () => Transform>([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['deflate', () => zlib.createInflate()],
  ['br', () => zlib.createBrotliDecompress()],
  ...(createZstdDecompress ? [['zstd', createZstdDecompress] as const] : []),
])

/**
 * Decodes while it reads: an encoded body counts as long as it becomes.
 *
 * @throws AppError request_too_large, invalid_input also for a sender that is too slow, rate_limited
 *   or overloaded; and cancelled when the client leaves.
 */
export async function readApiBody(
  req: Request,
  res: Response,
  rooms: ApiBodyRooms,
  userId: string,
): Promise<ReadBody> {
  const declared = Number(req.headers['content-length'] ?? 0)
  if (declared > MAX_API_BODY_BYTES) throw tooLarge()
  const decoder = decoderOf(req.headers['content-encoding'])
  if (declared > SMALL_BODY_BYTES) rooms.memory.refuseWhenShort()
  const held = rooms.budget.hold({ kind: 'user', key: userId }, declared)
  try {
    // A client of HTTP/1.0 does not know that answer.
    if (req.headers.expect !== undefined && req.httpVersion !== '1.0') res.writeContinue()
    const late = latenessOf(req, res, declared, rooms.pace)
    const bytes = await collect(req, decoder, { held, counted: declared, late })
    return { bytes, release: held.release }
  } catch (error) {
    held.release()
    // The rest is discarded, so that the client can read the answer.
    req.unpipe()
    req.resume()
    throw error
  }
}

function decoderOf(header: string | undefined): Transform | null {
  const coding = header?.trim().toLowerCase() ?? ''
  if (coding === '' || coding === 'identity') return null
  const make = DECODERS.get(coding)
  if (make === undefined) {
    const known = [...DECODERS.keys()].filter((name) => name !== 'x-gzip').join(', ')
    throw new AppError(
      'invalid_input',
      `The Content-Encoding of the request has to be one of ${known}.`,
    )
  }
  return make()
}

type Room = { held: Held; counted: number; late: Promise<never> | null }

/** Null for a body that is small enough for the time that every request has. */
function latenessOf(
  req: Request,
  res: Response,
  declared: number,
  pace: Pace | undefined,
): Promise<never> | null {
  if (declared > 0 && declared <= SMALL_BODY_BYTES) return null
  return new Promise((_, reject) => limitPace(req, res, reject, pace))
}

function collect(req: Request, decoder: Transform | null, room: Room): Promise<Buffer> {
  const body = new CollectedBytes(room.counted)
  const source = decoder === null ? req : req.pipe(decoder)
  let counted = room.counted
  return new Promise((resolve, reject) => {
    const onData = (piece: Buffer) => {
      try {
        if (body.length + piece.length > MAX_API_BODY_BYTES) throw tooLarge()
        body.add(piece)
        if (body.length <= counted) return
        const more = Math.max(body.length - counted, SMALL_BODY_BYTES)
        room.held.grow(more)
        counted += more
      } catch (error) {
        source.removeAllListeners('data')
        if (decoder !== null) decoder.destroy()
        stop(error)
      }
    }
    const onEnd = () => {
      forget()
      resolve(body.take())
    }
    const onError = () => stop(decoder === null ? left() : undecodable())
    const onLeft = () => req.complete || stop(left())
    const stop = (error: unknown) => {
      forget()
      // What still comes of a broken body is no fault of the process.
      source.on('error', () => {})
      reject(error)
    }
    /** The request lives until its answer ends, and would keep the body as long. */
    const forget = () => {
      source.off('data', onData).off('end', onEnd).off('error', onError)
      req.off('error', onLeft).off('close', onLeft)
    }
    room.late?.catch(stop)
    source.on('data', onData).on('end', onEnd).on('error', onError)
    req.on('error', onLeft).on('close', onLeft)
  })
}

const tooLarge = () =>
  new AppError(
    'request_too_large',
    `The request body is too large: it may have at most ${MAX_API_BODY_BYTES} bytes, decoded.`,
  )

const undecodable = () =>
  new AppError('invalid_input', 'The request body cannot be decoded by its Content-Encoding.')

const left = () => new AppError('cancelled', 'The client closed the connection.')
