import { isDeepStrictEqual } from 'node:util'
import type { LiveSession, SessionProof } from '../../repositories/access/session-checks.ts'
import type { AskedOf, ReadName, ReadOf } from '../../repositories/caller-reads.ts'
import { type NamedPayer, toPayerValues } from '../../repositories/turns/team-payers.ts'

/** Longer after it was asked for, it is read again: the database may have waited for a lock. */
const GOOD_FOR_MS = 1000

/** What a call needs, announced before its session is looked up. */
export type AnnouncedRead<Name extends ReadName> = { name: Name; asked: AskedOf<Name> }
export type Announced = { [Name in ReadName]: AnnouncedRead<Name> }[ReadName]

/**
 * For a message to the conversation, or to none yet; and for a call without one.
 *
 * @param payer whom the call has pay; undefined: it does not say.
 */
export const readsContext = (
  conversationId: string | undefined,
  payer?: NamedPayer,
): AnnouncedRead<'turnContext'> => ({
  name: 'turnContext',
  asked: { conversationId: conversationId ?? null, ...toPayerValues(payer) },
})

/** How the session of a request was named, and what was found. */
export type FoundWith = { proof: SessionProof; session: LiveSession }

/** `askedAt`: by performance.now(), before the statement. */
type Found = FoundWith & { read: ReadOf<ReadName>; askedAt: number }

/** What the statement that found a request's session also read for its call. */
export class ReadAhead {
  readonly foundWith: FoundWith
  readonly #announced: Announced
  readonly #askedAt: number
  #read: ReadOf<ReadName> | undefined

  constructor(announced: Announced, { read, askedAt, ...foundWith }: Found) {
    this.foundWith = foundWith
    this.#announced = announced
    this.#askedAt = askedAt
    this.#read = read
  }

  /**
   * Once: a second read is for what has changed since, and it may be large.
   *
   * @returns undefined when it has to be read.
   */
  take<Name extends ReadName>(wanted: AnnouncedRead<Name> | undefined): ReadOf<Name> | undefined {
    if (wanted === undefined) return undefined
    const read = this.#read
    this.#read = undefined
    const isGood = performance.now() - this.#askedAt < GOOD_FOR_MS
    return isGood && isDeepStrictEqual(wanted, this.#announced) ? (read as ReadOf<Name>) : undefined
  }
}
