/**
 * Looks up sessions, batching the requests of one event-loop turn.
 *
 * Every check is part of a statement that begins after the request came, so a session that was
 * revoked before is always found revoked.
 */

import {
  type AskedSession,
  type Count,
  type FoundSession,
  type LiveSession,
  type SessionProof,
  sessionKeyOf,
  type UserCounter,
} from '../../repositories/access/session-checks.ts'
import type { Repositories } from '../../repositories/index.ts'

export type CheckedSession = { session: LiveSession; count: Count | null }

/** An id that PostgreSQL cannot parse would fail all that share its statement. */
export const isWellFormed = (proof: SessionProof) =>
  !('id' in proof) || (UUID.test(proof.id) && UUID.test(proof.userId))

type Waiting = {
  proof: SessionProof
  resolve(checked: CheckedSession | undefined): void
  reject(error: unknown): void
}

type Group = { proof: SessionProof; waiting: Waiting[] }

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export class SessionChecks {
  readonly #find: (asked: readonly AskedSession[]) => Promise<FoundSession | undefined>[]
  #waiting: Waiting[] = []

  /** `counter`: where the users' requests are counted; null where that is done elsewhere. */
  constructor(
    { sessionChecks }: Pick<Repositories, 'sessionChecks'>,
    counter: UserCounter | null = null,
  ) {
    this.#find = (asked) => sessionChecks.findLive(asked, counter)
  }

  /**
   * The session if it is neither expired nor revoked, and its user's request count, which includes
   * this request. All checks of one object use the same kind of proof.
   */
  async find(proof: SessionProof): Promise<CheckedSession | undefined> {
    if (!isWellFormed(proof)) return undefined
    return new Promise((resolve, reject) => {
      // Runs once all input that has arrived by now has been read.
      if (this.#waiting.length === 0) setImmediate(() => this.#run())
      this.#waiting.push({ proof, resolve, reject })
    })
  }

  #run(): void {
    const groups = grouped(this.#waiting)
    this.#waiting = []
    const asked = groups.map(({ proof, waiting }) => ({ proof, times: waiting.length }))
    for (const [index, found] of this.#find(asked).entries()) {
      const waiting = groups[index]?.waiting ?? []
      found.then(
        (session) => answer(waiting, session),
        (error: unknown) => {
          for (const { reject } of waiting) reject(error)
        },
      )
    }
  }
}

function grouped(waiting: readonly Waiting[]): Group[] {
  const groups = new Map<string, Group>()
  for (const one of waiting) {
    const key = sessionKeyOf(one.proof)
    const group = groups.get(key) ?? { proof: one.proof, waiting: [] }
    group.waiting.push(one)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Each request gets its own count, in the order of arrival, as if counted one by one. */
function answer(waiting: readonly Waiting[], found: FoundSession | undefined): void {
  for (const [index, { resolve }] of waiting.entries()) {
    if (found === undefined) resolve(undefined)
    else resolve({ session: found, count: counted(found, index + 1) })
  }
}

const counted = ({ countBefore }: FoundSession, times: number): Count | null =>
  countBefore && { ...countBefore, hits: countBefore.hits + times }
