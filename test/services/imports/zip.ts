/** Makes zips for tests, well-formed and otherwise (PKWARE APPNOTE.TXT 6.3.9, sections 4.3 and 4.5). */

import { crc32, deflateRawSync } from 'node:zlib'

type Entry = {
  name: string
  content: Buffer | string
  /** Instead of the true size. */
  claimedBytes?: number
  isEncrypted?: boolean
  /** With sizes and offset in a zip64 field. */
  isZip64?: boolean
}

const UNKNOWN_32 = 0xffffffff
const DEFLATED = 8

export function zipOf(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const { local, central } = packed(entry, offset)
    locals.push(local)
    directory.push(central)
    offset += local.length
  }
  const central = Buffer.concat(directory)
  return Buffer.concat([...locals, central, end(entries.length, central.length, offset)])
}

function packed({ name, content, claimedBytes, isEncrypted, isZip64 }: Entry, offset: number) {
  const bytes = Buffer.from(content)
  const data = deflateRawSync(bytes)
  const sizes = { packed: data.length, bytes: claimedBytes ?? bytes.length, offset }
  const fileName = Buffer.from(name, 'latin1')
  const common = Buffer.alloc(26)
  common.writeUInt16LE(isZip64 ? 45 : 20, 0)
  common.writeUInt16LE(isEncrypted ? 1 : 0, 2)
  common.writeUInt16LE(DEFLATED, 4)
  common.writeUInt32LE(crc32(bytes), 10)
  common.writeUInt32LE(isZip64 ? UNKNOWN_32 : sizes.packed, 14)
  common.writeUInt32LE(isZip64 ? UNKNOWN_32 : sizes.bytes, 18)
  common.writeUInt16LE(fileName.length, 22)
  const extra = isZip64 ? zip64Field(sizes) : Buffer.alloc(0)
  common.writeUInt16LE(extra.length, 24)
  const local = Buffer.concat([signature(0x04034b50), common, fileName, extra, data])
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE(isZip64 ? UNKNOWN_32 : offset, 10)
  const central = [signature(0x02014b50), Buffer.from([45, 0]), common, rest, fileName, extra]
  return { local, central: Buffer.concat(central) }
}

function zip64Field({ packed, bytes, offset }: { packed: number; bytes: number; offset: number }) {
  const field = Buffer.alloc(28)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(24, 2)
  field.writeBigUInt64LE(BigInt(bytes), 4)
  field.writeBigUInt64LE(BigInt(packed), 12)
  field.writeBigUInt64LE(BigInt(offset), 20)
  return field
}

function end(entries: number, bytes: number, offset: number): Buffer {
  const record = Buffer.alloc(18)
  record.writeUInt16LE(entries, 4)
  record.writeUInt16LE(entries, 6)
  record.writeUInt32LE(bytes, 8)
  record.writeUInt32LE(offset, 12)
  return Buffer.concat([signature(0x06054b50), record])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
