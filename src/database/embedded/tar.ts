/** Plain tar (POSIX ustar), as PGlite's dumpDataDir writes it: files and folders, short names. */

const BLOCK_BYTES = 512
const MOST_NAME_BYTES = 100
/** The largest number of eleven octal digits. */
const MOST_FILE_BYTES = 8 ** 11 - 1

export type TarEntry = { name: string; isFolder: boolean; bytes: Buffer }

type Header = { name: string; isFolder: boolean; sizeBytes: number }

/** @throws Error when the archive is cut short or holds anything but files and folders. */
export function* tarEntries(tar: Buffer): Generator<TarEntry> {
  for (let at = 0; ; ) {
    const block = tar.subarray(at, at + BLOCK_BYTES)
    if (block.length < BLOCK_BYTES) throw cutShort()
    const header = readHeader(block)
    if (!header) return
    const { name, isFolder, sizeBytes } = header
    const start = at + BLOCK_BYTES
    const bytes = tar.subarray(start, start + sizeBytes)
    if (bytes.length !== sizeBytes) throw cutShort()
    yield { name, isFolder, bytes }
    at = start + inBlocks(sizeBytes)
  }
}

/** A part of a streamed archive: first the entry, then its content in any number of parts. */
export type TarPart = { entry: Header } | { content: Buffer }

/** Reads all chunks, so that gunzip verifies its checksum. @throws Error like tarEntries. */
export async function* tarParts(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarPart> {
  let unread = Buffer.alloc(0)
  let contentBytes = 0
  let paddingBytes = 0
  let isOver = false
  for await (const chunk of chunks) {
    if (isOver) continue
    unread = Buffer.concat([unread, chunk])
    while (!isOver) {
      const content = unread.subarray(0, contentBytes)
      if (content.length > 0) yield { content }
      contentBytes -= content.length
      unread = unread.subarray(content.length)
      if (contentBytes > 0 || unread.length < paddingBytes + BLOCK_BYTES) break
      const entry = readHeader(unread.subarray(paddingBytes))
      if (entry) yield { entry }
      else isOver = true
      unread = unread.subarray(paddingBytes + BLOCK_BYTES)
      contentBytes = entry?.sizeBytes ?? 0
      paddingBytes = inBlocks(contentBytes) - contentBytes
    }
  }
  if (!isOver) throw cutShort()
}

/** @throws Error when the name or the size is too large for tar. */
export function tarHeader({ name, isFolder, sizeBytes }: Header): Buffer {
  if (Buffer.byteLength(name) > MOST_NAME_BYTES || sizeBytes > MOST_FILE_BYTES) {
    throw new Error(`${name} (${sizeBytes} bytes) does not fit into a tar archive`)
  }
  const block = Buffer.alloc(BLOCK_BYTES)
  block.write(name, 0)
  block.write(isFolder ? '0000700\0' : '0000600\0', 100)
  block.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write(isFolder ? '5' : '0', 156)
  block.write('ustar\x0000', 257)
  // The checksum is over all bytes, with its own field as blanks.
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** Pads a file's content to whole blocks. */
export const tarPadding = (sizeBytes: number) => Buffer.alloc(inBlocks(sizeBytes) - sizeBytes)

export const tarEnd = () => Buffer.alloc(2 * BLOCK_BYTES)

const inBlocks = (bytes: number) => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES

const cutShort = () => new Error('the archive is cut short')

/** Undefined at the end of the archive. */
function readHeader(block: Buffer): Header | undefined {
  if (block[0] === 0) return undefined
  return {
    name: text(block, 0, MOST_NAME_BYTES),
    isFolder: isFolder(text(block, 156, 1)),
    sizeBytes: Number.parseInt(text(block, 124, 12), 8),
  }
}

function isFolder(type: string): boolean {
  if (type === '5') return true
  if (type === '0' || type === '') return false
  throw new Error(`unexpected entry of type ${type}`)
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.toString('latin1', start, start + length)
  const end = field.indexOf('\0')
  return end < 0 ? field : field.slice(0, end)
}
