import { isDeepStrictEqual } from 'node:util'
import type { AppError } from '../../../errors.ts'
import { wrongField } from '../../access/field-rules.ts'
import type { Vault } from '../../keys/vault.ts'
import type { ScanPlace } from './candidates.ts'

/** What the cursor belongs to, besides its user. */
export type SearchTerms = {
  query: string
  searched: string
  from?: string | undefined
  to?: string | undefined
}

/** Sealed: it names conversations and holds the query, and only its user can use it. */
export function encodePlace(
  vault: Vault,
  userId: string,
  terms: SearchTerms,
  place: ScanPlace,
): string {
  return vault.sealSearchPlace(userId, JSON.stringify({ terms, place })).toString('base64url')
}

/** @throws AppError invalid_input for another user's cursor, or one of another search. */
export function decodePlace(
  vault: Vault,
  userId: string,
  terms: SearchTerms,
  cursor: string | undefined,
): ScanPlace | undefined {
  if (cursor === undefined) return undefined
  const stored = opened(vault, userId, cursor)
  if (stored === undefined) throw wrongCursor('unknown')
  // As JSON has no undefined.
  const isSame = isDeepStrictEqual(stored.terms, JSON.parse(JSON.stringify(terms)))
  if (!isSame) throw wrongCursor('other')
  return stored.place
}

function opened(vault: Vault, userId: string, cursor: string) {
  const sealed = Buffer.from(cursor, 'base64url')
  // Letters that say nothing are skipped in decoding.
  if (sealed.toString('base64url') !== cursor) return undefined
  try {
    const text = vault.openSearchPlace(userId, sealed)
    return JSON.parse(text) as { terms: unknown; place: ScanPlace }
  } catch {
    return undefined
  }
}

/** @param which other: one of another search. */
function wrongCursor(which: 'unknown' | 'other'): AppError {
  const problem = {
    unknown: 'must be a next_cursor of an earlier page',
    other: 'belongs to another search: give the same arguments with it',
  }[which]
  return wrongField('cursor', problem, {
    onPages: 'This address leads to no page of what was found. Search again.',
  })
}
