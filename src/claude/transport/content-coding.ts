/**
 * Decodes bodies that are compressed although `Accept-Encoding: identity` was sent: some proxies do
 * that (RFC 9110, section 8.4).
 */

import { pipeline, type Transform, Writable } from 'node:stream'
import zlib from 'node:zlib'

/** One is usual, two occur with two proxies. */
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

/** In decoding order, last first. Empty for an uncoded body; undefined for an unknown coding. */
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
 * Decodes a body in chunks of at most some 64 KB. When `onData` throws, decoding stops.
 *
 * @param codings at least one.
 * @param onEnd called once, with the error or undefined.
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
