/** Screenshots of flat pages, made small: 64 colours say all there is to see. */

import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = 8
const MAX_COLOURS = 64
const FREQUENT = 0.75
/** Squared, of red, green and blue together. */
const MIN_DISTANCE = 600

/** @param png as Chromium writes them: 8 bits, RGB or RGBA, not interlaced; transparency is lost. */
export function withPalette(png: Buffer): Buffer {
  const { width, height, pixels } = decode(png)
  const { palette, indexOf } = choosePalette(pixels)
  const rows = Buffer.alloc((width + 1) * height)
  pixels.forEach((colour, at) => {
    rows[at + Math.floor(at / width) + 1] = indexOf(colour)
  })
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 3, 0, 0, 0], 8)
  return Buffer.concat([
    png.subarray(0, SIGNATURE),
    chunk('IHDR', header),
    chunk('PLTE', Buffer.from(palette.flatMap((colour) => [...channels(colour)]))),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/**
 * The most frequent colours, for fine shades, and of the rarer ones those that can be told apart,
 * for small things. Any other becomes the nearest of them.
 */
function choosePalette(pixels: Uint32Array) {
  const counts = new Map<number, number>()
  for (const colour of pixels) counts.set(colour, (counts.get(colour) ?? 0) + 1)
  const byCount = [...counts].sort(([, a], [, b]) => b - a).map(([colour]) => colour)
  const palette = byCount.slice(0, MAX_COLOURS * FREQUENT)
  for (const colour of byCount.slice(palette.length)) {
    if (palette.length === MAX_COLOURS) break
    if (palette.every((chosen) => distance(chosen, colour) > MIN_DISTANCE)) palette.push(colour)
  }
  const indices = new Map(byCount.map((colour) => [colour, nearest(palette, colour)]))
  return { palette, indexOf: (colour: number) => indices.get(colour) ?? 0 }
}

function nearest(palette: readonly number[], colour: number): number {
  const distances = palette.map((candidate) => distance(candidate, colour))
  return distances.indexOf(Math.min(...distances))
}

const channels = (colour: number) => [colour >> 16, (colour >> 8) & 255, colour & 255] as const

function distance(one: number, other: number): number {
  const [a, b] = [channels(one), channels(other)]
  return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
}

function decode(png: Buffer) {
  const chunks = [...chunksOf(png)]
  const header = chunks[0]?.data ?? Buffer.alloc(0)
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const bytes = header[9] === 6 ? 4 : 3
  const data = chunks.filter(({ type }) => type === 'IDAT').map((found) => found.data)
  const rows = unfiltered(inflateSync(Buffer.concat(data)), width * bytes, bytes)
  const pixels = new Uint32Array(width * height)
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = rows.readUIntBE(at * bytes, 3)
  return { width, height, pixels }
}

function* chunksOf(png: Buffer) {
  for (let at = SIGNATURE; at < png.length; ) {
    const length = png.readUInt32BE(at)
    const type = png.toString('latin1', at + 4, at + 8)
    yield { type, data: png.subarray(at + 8, at + 8 + length) }
    at += length + 12
  }
}

/** PNG specification, 9.2 Filter types. */
function unfiltered(lines: Buffer, stride: number, bytes: number): Buffer {
  const height = lines.length / (stride + 1)
  const rows = Buffer.alloc(stride * height)
  for (let at = 0; at < rows.length; at += 1) {
    const [row, column] = [Math.floor(at / stride), at % stride]
    const left = column < bytes ? 0 : (rows[at - bytes] ?? 0)
    const up = row === 0 ? 0 : (rows[at - stride] ?? 0)
    const corner = column < bytes || row === 0 ? 0 : (rows[at - stride - bytes] ?? 0)
    const filter = lines[row * (stride + 1)] ?? 0
    rows[at] = (lines[at + row + 1] ?? 0) + predicted(filter, left, up, corner)
  }
  return rows
}

function predicted(filter: number, left: number, up: number, corner: number): number {
  if (filter === 3) return (left + up) >> 1
  if (filter < 3) return [0, left, up][filter] ?? 0
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(left + up - corner - value))
  if (a === undefined || b === undefined || c === undefined) return 0
  if (a <= b && a <= c) return left
  return b <= c ? up : corner
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, checksum])
}
