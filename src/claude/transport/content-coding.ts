/**
 * Bodies that come compressed although `Accept-Encoding: identity` was sent: proxies do that (RFC
 * 9110, section 8.4).
 */

import { pipeline, type Transform, Writable } from 'node:stream'
import zlib from 'node:zlib'

/** One is usual, two are seen where two proxies stand. */
const MOST_CODINGS = 3

type Make = () => Transform

/** Node has it from 22.15 on. */
const { createZstdDecompress } = zlib as { createZstdDecompress?: Make }

const DECODERS: ReadonlyMap<string, Make> = new Map<string, Make>([
  ['gzip', () => zlib.createGunzip()],
  ['x-gzip', () => zlib.createGunzip()],
  ['br', () => zlib.createBrotliDecompress()],
  ['deflate', () => zlib.createInflate()],
  ...(createZstdDecompress === undefined ? [] : [['zstd', createZstdDecompress] as const]),
])

/** Undone last first. Empty for a body that is as it was written; undefined for what cannot be read. */
export type Codings = readonly Make[] | undefined

export function codingsOf(header: string | string[] | undefined): Codings {
  if (header === undefined) return []
  const names = [header]
    .flat()
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && name !== 'identity')
  const makers = names.map((name) => DECODERS.get(name)).filter((make) => make !== undefined)
  return makers.length === names.length && names.length <= MOST_CODINGS
    ? makers.reverse()
    : undefined
}

/**
 * Takes a coded body and tells of it decoded, at most some 64 KB at a time: whoever has enough
 * throws, and nothing more is decoded.
 *
 * @param codings at least one.
 * @param onEnd told once, with what went wrong or with nothing.
 */
export function openDecoder(
  codings: readonly Make[],
  onData: (chunk: Uint8Array) => void,
  onEnd: (error: unknown) => void,
): Writable {
  const stages = codings.map((make) => make())
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        onData(chunk)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })
  pipeline([...stages, sink], (error) => onEnd(error ?? undefined))
  return stages[0] ?? sink
}
