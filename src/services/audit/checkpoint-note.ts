/**
 * The text of a checkpoint, as C2SP tlog-checkpoint has it: origin, number of events, root (base64);
 * then a line for each chain with its newest event and hash (hex), so that a later state can be
 * compared with it; signed as a note.
 */

import { createHash } from 'node:crypto'
import { isSignedBy, readNote, signNote } from '../../crypto/signed-note.ts'
import type { Head } from '../../repositories/audit/events.ts'
import type { AuditKey } from './audit-keys.ts'

/** The first line. */
export const CHECKPOINT_ORIGIN = 'claude-api-gateway/audit'

export type Checkpoint = { heads: Map<string, { seq: bigint; hash: string }> }

/** @param heads of all chains, by chain. */
export function toCheckpoint(heads: readonly Head[], key: AuditKey): string {
  const lines = heads.map(({ chain, seq, hash }) => `${chain} ${seq} ${hash.toString('hex')}\n`)
  const size = heads.reduce((sum, { seq }) => sum + BigInt(seq), 0n)
  const text = `${CHECKPOINT_ORIGIN}\n${size}\n${rootOf(lines)}\n${lines.join('')}`
  return signNote(text, key.id, key.vault.signingJwk)
}

/** @returns what is wrong with it, as text, when it is no checkpoint of this installation. */
export function openCheckpoint(
  note: string,
  keys: ReadonlyMap<string, AuditKey>,
): Checkpoint | string {
  const read = readNote(note)
  if (!read) return 'it is not the whole text of a checkpoint'
  const key = keys.get(read.keyId)
  if (!key) return `it is signed with key ${read.keyId}, which this installation does not have`
  if (!isSignedBy(note, key.publicJwk)) return 'its signature does not fit its text'
  const [origin, , root, ...lines] = read.text.split('\n').slice(0, -1)
  if (origin !== CHECKPOINT_ORIGIN) return 'it is of something else'
  if (root !== rootOf(lines.map((line) => `${line}\n`))) return 'its root does not fit its chains'
  return { heads: new Map(lines.map(toEntry)) }
}

function toEntry(line: string): [string, { seq: bigint; hash: string }] {
  const [chain = '', seq = '0', hash = ''] = line.split(' ')
  return [chain, { seq: BigInt(seq), hash }]
}

function rootOf(lines: readonly string[]): string {
  const digest = createHash('sha256')
  for (const line of lines) digest.update(line)
  return digest.digest('base64')
}
