/**
 * The hash chain of the audit log. An event's hash covers its fields and the hash before it, so that
 * everyone can find an event that was changed, removed or moved; its MAC, under a key that SQL alone
 * does not give, covers the hash, so that only the gateway can make one.
 *
 * The hashed form is a version byte, then each field in the order of {@link ChainedEvent}: its
 * length in bytes (4 bytes, big-endian; all ones for null), and its UTF-8 bytes. JSON would not do:
 * equal values have several texts.
 */
import { hash } from 'node:crypto'

/** In the order in which the fields are hashed. */
export type ChainedEvent = {
  chain: string
  /** Decimal. */
  seq: string
  /** ISO 8601, UTC, with milliseconds. */
  at: string
  action: string
  actorKind: string
  actorId: string | null
  sessionId: string | null
  addressPrefix: string | null
  targetKind: string | null
  targetId: string | null
  teamId: string | null
  detail: string
}

const FIELDS = [
  'chain',
  'seq',
  'at',
  'action',
  'actorKind',
  'actorId',
  'sessionId',
  'addressPrefix',
  'targetKind',
  'targetId',
  'teamId',
  'detail',
] as const satisfies readonly (keyof ChainedEvent)[]

const VERSION = 1
const LENGTH_BYTES = 4
const NULL_LENGTH = 0xffff_ffff
const HASH_BYTES = 32
/** UTF-8 bytes per UTF-16 code unit. */
const MOST_BYTES_PER_CHARACTER = 3

/** Before the first event of a chain. */
export const FIRST_PREV_HASH = Buffer.alloc(HASH_BYTES)

/** SHA-256 of the hash before it and the event, 32 bytes. */
export function chainHash(prevHash: Buffer, event: ChainedEvent): Buffer {
  return Buffer.from(chainHashHex(prevHash.toString('hex'), event), 'hex')
}

/** The same in hex, which is quicker where many are compared. */
export function chainHashHex(prevHash: string, event: ChainedEvent): string {
  const bytes = roomFor(event)
  bytes.write(prevHash, 'hex')
  return hash('sha256', bytes.subarray(0, writeCanonical(bytes, event)), 'hex')
}

/** @returns where the hashed form ends; it begins after the hash before it. */
function writeCanonical(bytes: Buffer, event: ChainedEvent): number {
  let end = bytes.writeUInt8(VERSION, HASH_BYTES)
  for (const field of FIELDS) {
    const value = event[field]
    const written = value === null ? 0 : bytes.write(value, end + LENGTH_BYTES, 'utf8')
    bytes.writeUInt32BE(value === null ? NULL_LENGTH : written, end)
    end += LENGTH_BYTES + written
  }
  return end
}

/** Of one event after the other: none is kept. */
let room = Buffer.alloc(4096)

function roomFor(event: ChainedEvent): Buffer {
  let characters = 0
  for (const field of FIELDS) characters += event[field]?.length ?? 0
  const most = HASH_BYTES + 1 + FIELDS.length * LENGTH_BYTES + characters * MOST_BYTES_PER_CHARACTER
  if (room.length < most) room = Buffer.alloc(most)
  return room
}
