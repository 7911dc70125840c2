/**
 * One statement for all who ask at the same moment: one round trip and one commit for a crowd.
 *
 * Nobody waits for company. What is asked while the event loop goes through what has arrived is
 * asked together at the end of that round; whoever is alone in it asks alone.
 */

import { Alone } from '../alone.ts'
import { isLockTimeout, mayConcernOne } from '../errors.ts'

type Waiting<Asked, Answer> = {
  asked: Asked
  resolve(answer: Answer): void
  reject(error: unknown): void
}

type Options<Asked, Answer> = {
  /** Answers in the order of asking. */
  run(asked: readonly Asked[]): Promise<Answer[]>
  /**
   * Whose rows it locks. Of those with the same key, each is in a statement of its own. Without it
   * nothing is locked, and all may be together.
   */
  keyOf?(asked: Asked): string
  /** A statement's rows, and with them what one failure has to be tried again for; 32 unless given. */
  mostTogether?: number
}

const MOST_TOGETHER = 32

/**
 * How long a statement may wait for a lock, as PostgreSQL's lock_timeout takes it. Whoever is held
 * up by a lock waits alone, and not those who came with it.
 */
export const lockLimitOf = ({ length }: readonly unknown[]) => (length > 1 ? '100ms' : '10s')

export class Batcher<Asked, Answer> {
  readonly #options: Options<Asked, Answer>
  readonly #alone = new Alone()
  #waiting: Waiting<Asked, Answer>[] = []

  constructor(options: Options<Asked, Answer>) {
    this.#options = options
  }

  /**
   * @throws what the statement throws for this one alone: after a failure that took back what was
   *   asked together, each is asked by itself.
   */
  load(asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#askAll())
      this.#waiting.push({ asked, resolve, reject })
    })
  }

  /** The same for several, now: they have been waited for already. */
  askNow(all: readonly Asked[]): Promise<Answer>[] {
    const waiting: Waiting<Asked, Answer>[] = []
    const answers = all.map(
      (asked) => new Promise<Answer>((resolve, reject) => waiting.push({ asked, resolve, reject })),
    )
    this.#askInGroups(waiting)
    return answers
  }

  #askAll(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#askInGroups(waiting)
  }

  #askInGroups(waiting: readonly Waiting<Asked, Answer>[]): void {
    const { mostTogether = MOST_TOGETHER } = this.#options
    const groups: Map<unknown, Waiting<Asked, Answer>>[] = []
    for (const one of waiting) {
      const key = this.#options.keyOf?.(one.asked) ?? one
      if (typeof key === 'string' && this.#alone.isHeldUp(key)) {
        void this.#askAlone(one, true)
        continue
      }
      const group = groups.find((other) => other.size < mostTogether && !other.has(key))
      if (group) group.set(key, one)
      else groups.push(new Map([[key, one]]))
    }
    for (const group of groups) void this.#askTogether([...group.values()])
  }

  async #askTogether(group: readonly Waiting<Asked, Answer>[]): Promise<void> {
    const [first] = group
    if (group.length === 1 && first) return this.#askAlone(first, false)
    try {
      const answers = await this.#options.run(group.map(({ asked }) => asked))
      for (const [index, { resolve }] of group.entries()) resolve(answers[index] as Answer)
    } catch (error) {
      // Without an answer nobody knows whether it was done, so only its asker may try again.
      if (!mayConcernOne(error)) for (const { reject } of group) reject(error)
      else for (const one of group) void this.#askAlone(one, isLockTimeout(error))
    }
  }

  async #askAlone(
    { asked, resolve, reject }: Waiting<Asked, Answer>,
    isSuspected: boolean,
  ): Promise<void> {
    const ask = async () => (await this.#options.run([asked]))[0] as Answer
    const key = this.#options.keyOf?.(asked)
    await (key === undefined ? ask() : this.#alone.run(key, isSuspected, ask)).then(resolve, reject)
  }
}
