import type { LiveSession, SessionProof } from '../../repositories/access/session-checks.ts'
import type { TurnContext } from '../../repositories/turns/load-turn-context.ts'

/** After this, what was read is read again: a body may have taken long to arrive. */
const GOOD_FOR_MS = 1000

/** What the statement that found a request's session also read for its call. */
export type FoundWith = { proof: SessionProof; session: LiveSession }

export class ReadAhead {
  /** How the session was named, and what was found. */
  readonly foundWith: FoundWith
  readonly #conversationId: string | undefined
  readonly #readAt = performance.now()
  #context: TurnContext | undefined

  constructor(conversationId: string | undefined, context: TurnContext, foundWith: FoundWith) {
    this.foundWith = foundWith
    this.#conversationId = conversationId
    this.#context = context
  }

  /**
   * Once: a second read is for what has changed since, and the context may be large.
   *
   * @returns undefined when it has to be read.
   */
  take(conversationId: string | undefined): TurnContext | undefined {
    const context = this.#context
    this.#context = undefined
    const isGood = performance.now() - this.#readAt < GOOD_FOR_MS
    return isGood && conversationId === this.#conversationId ? context : undefined
  }
}
