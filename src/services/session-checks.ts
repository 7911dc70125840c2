/**
 * Asks the database about sessions, for requests that come together at once.
 *
 * Every check is part of a statement that begins after the request came, so a session that was
 * revoked before is found revoked, however many ask.
 */

import type { Repositories } from '../repositories/index.ts'
import type {
  AskedSession,
  Count,
  FoundSession,
  LiveSession,
  SessionProof,
  UserCounter,
} from '../repositories/session-checks.ts'

export type CheckedSession = { session: LiveSession; count: Count | null }

type Waiting = {
  proof: SessionProof
  resolve(checked: CheckedSession | undefined): void
  reject(error: unknown): void
}

type Group = { proof: SessionProof; waiting: Waiting[] }

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export class SessionChecks {
  readonly #find: (asked: readonly AskedSession[]) => Promise<Map<number, FoundSession>>
  #waiting: Waiting[] = []

  /** `counter`: where the users' requests are counted; null where that is done elsewhere. */
  constructor(
    { sessionChecks }: Pick<Repositories, 'sessionChecks'>,
    counter: UserCounter | null = null,
  ) {
    this.#find = (asked) => sessionChecks.findLive(asked, counter)
  }

  /**
   * The session, while it is neither expired nor revoked, and what was counted for its user, this
   * request included. All checks of one object are of the same kind of proof.
   */
  async find(proof: SessionProof): Promise<CheckedSession | undefined> {
    // One that PostgreSQL cannot read would fail everybody's statement.
    if ('id' in proof && !(UUID.test(proof.id) && UUID.test(proof.userId))) return undefined
    return new Promise((resolve, reject) => {
      // Once everything that has arrived by now was read.
      if (this.#waiting.length === 0) setImmediate(() => void this.#run())
      this.#waiting.push({ proof, resolve, reject })
    })
  }

  async #run(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    try {
      const groups = grouped(waiting)
      const asked = groups.map((group) => ({ proof: group.proof, times: group.waiting.length }))
      answer(groups, await this.#find(asked))
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }
}

function grouped(waiting: readonly Waiting[]): Group[] {
  const groups = new Map<string, Group>()
  for (const one of waiting) {
    const key = keyOf(one.proof)
    const group = groups.get(key) ?? { proof: one.proof, waiting: [] }
    group.waiting.push(one)
    groups.set(key, group)
  }
  return [...groups.values()]
}

const keyOf = (proof: SessionProof) =>
  'id' in proof ? `${proof.id}/${proof.userId}` : proof.tokenHash.toString('base64')

/** Each request gets a number of its own, in the order they came, as if counted one by one. */
function answer(groups: readonly Group[], found: Map<number, FoundSession>): void {
  const hitsBefore = new Map<string, number>()
  for (const [index, { userId, count }] of found) {
    const hits = hitsBefore.get(userId) ?? count?.hits ?? 0
    hitsBefore.set(userId, hits - (groups[index]?.waiting.length ?? 0))
  }
  for (const [index, { waiting }] of groups.entries()) {
    const session = found.get(index)
    for (const { resolve } of waiting) {
      if (session === undefined) resolve(undefined)
      else resolve({ session, count: numbered(session, hitsBefore) })
    }
  }
}

function numbered({ userId, count }: FoundSession, hitsBefore: Map<string, number>): Count | null {
  if (count === null) return null
  const hits = (hitsBefore.get(userId) ?? 0) + 1
  hitsBefore.set(userId, hits)
  return { ...count, hits }
}
