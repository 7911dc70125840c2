/** Reads the plain tar that PGlite's dumpDataDir writes (POSIX ustar, names below 100 bytes). */

const BLOCK_BYTES = 512

export type TarEntry = { name: string; isFolder: boolean; bytes: Buffer }

/** @throws Error when the archive is cut short or holds anything but files and folders. */
export function* tarEntries(tar: Buffer): Generator<TarEntry> {
  for (let at = 0; ; ) {
    const header = tar.subarray(at, at + BLOCK_BYTES)
    if (header.length < BLOCK_BYTES) throw new Error('the archive is cut short')
    if (header[0] === 0) return
    const sizeBytes = Number.parseInt(text(header, 124, 12), 8)
    const start = at + BLOCK_BYTES
    const bytes = tar.subarray(start, start + sizeBytes)
    if (bytes.length !== sizeBytes) throw new Error('the archive is cut short')
    yield { name: text(header, 0, 100), isFolder: isFolder(text(header, 156, 1)), bytes }
    at = start + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES
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
