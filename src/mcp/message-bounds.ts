/**
 * Limits the length of client text that answers, errors and notifications repeat: an id is in every
 * answer, a progress token in three notifications per second.
 */

import { CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY } from '@modelcontextprotocol/server'

const MAX_LENGTH = 256
/** JSON-RPC 2.0, section 5.1. */
const INVALID_REQUEST = -32600
const INVALID_PARAMS = -32602

/** Paths of these texts in a message. */
const PLACES: readonly (readonly string[])[] = [
  ['id'],
  ['method'],
  ['params', 'name'],
  ['params', 'uri'],
  ['params', 'cursor'],
  ['params', 'ref', 'name'],
  ['params', 'ref', 'uri'],
  ['params', 'argument', 'name'],
  ['params', 'argument', 'value'],
  ['params', 'requestId'],
  ['params', 'protocolVersion'],
  ['params', 'clientInfo', 'name'],
  ['params', 'clientInfo', 'version'],
  ['params', '_meta', 'progressToken'],
  ['params', '_meta', PROTOCOL_VERSION_META_KEY],
  ['params', '_meta', CLIENT_INFO_META_KEY, 'name'],
  ['params', '_meta', CLIENT_INFO_META_KEY, 'version'],
]

export type OutOfBounds = { code: number; message: string; id: string | number | null }

/** The JSON-RPC error that names the first text that is too long, if any. */
export function findOutOfBounds(body: unknown): OutOfBounds | undefined {
  const place = PLACES.find((path) => lengthAt(body, path) > MAX_LENGTH)
  if (!place) return undefined
  const { id } = body as { id?: unknown }
  return {
    code: place[0] === 'params' ? INVALID_PARAMS : INVALID_REQUEST,
    message: `${place.join('.')} must have at most ${MAX_LENGTH} characters.`,
    id: isShortId(id) ? id : null,
  }
}

export const isShortId = (id: unknown): id is string | number =>
  (typeof id === 'string' && id.length <= MAX_LENGTH) || typeof id === 'number'

function lengthAt(body: unknown, path: readonly string[]): number {
  let value = body
  for (const name of path) {
    if (typeof value !== 'object' || value === null) return 0
    value = (value as Record<string, unknown>)[name]
  }
  return typeof value === 'string' ? value.length : 0
}
