/**
 * Batches the calls of one event-loop turn into one statement (as DataLoader does, without its
 * cache): one round trip and one commit for many calls. Measured with 16 sends at once, it takes
 * PostgreSQL's share of a send from about 1,150 us to about 400 us.
 *
 * No call waits for others to join: the batch is sent at the end of the turn. Only calls for one
 * `sharedRowOf` wait, where they would wait for its lock anyway.
 */

import { settledWithin } from '../../concurrency/timeouts.ts'
import { Alone } from '../alone.ts'
import { isLockTimeout, mayConcernOne } from '../errors.ts'

type Waiting<Asked, Answer> = {
  asked: Asked
  resolve(answer: Answer): void
  reject(error: unknown): void
}

type Options<Asked, Answer> = {
  /** Returns the answers in the order of the calls. */
  run(asked: readonly Asked[]): Promise<Answer[]>
  /**
   * Names the rows that the call locks. Calls that have one of them in common go into separate
   * statements. Without it nothing is locked, and all calls may share one.
   */
  keysOf?(asked: Asked): readonly string[]
  /** Whether calls that lock the same rows may share a statement after all: it adds them up. */
  addsUp?: boolean
  /**
   * Names one more row that the call locks, for which the statement adds calls up. One statement at a
   * time has it: calls that come meanwhile share the next one, where each would otherwise take a
   * connection to wait for the lock, one commit after the other.
   */
  sharedRowOf?(asked: Asked): string
  /** Most calls in a statement, and so most retries after one failure; 32 unless given. */
  mostTogether?: number
}

const MOST_TOGETHER = 32
/** What waits for a shared row goes on after this: the one that has it may be blocked by another lock. */
const MOST_AT_ROW_MS = 100
/**
 * One place for each key, so that blocked calls of one user leave others a place at the row. Nothing is
 * remembered: what took long may have waited for the row, with many others.
 */
const BESIDE_A_ROW = { mostAtOnce: 1, rememberedMs: 0 }

/**
 * How long a statement may wait for a lock, as a value of PostgreSQL's lock_timeout: briefly in a
 * batch, so that a blocked call waits alone and does not delay the others.
 */
export const lockLimitOf = ({ length }: readonly unknown[]) => (length > 1 ? '100ms' : '10s')

export class Batcher<Asked, Answer> {
  readonly #options: Options<Asked, Answer>
  readonly #alone: Alone
  readonly #atRows = new Alone()
  #waiting: Waiting<Asked, Answer>[] = []
  /** For each shared row that a statement has, the calls that wait for it. */
  readonly #queues = new Map<string, Waiting<Asked, Answer>[]>()

  constructor(options: Options<Asked, Answer>) {
    this.#options = options
    this.#alone = new Alone(options.sharedRowOf ? BESIDE_A_ROW : {})
  }

  /**
   * @throws what the statement throws for this call alone: after a failure that rolled the batch
   *   back, each call is retried by itself.
   */
  load(asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#askAll())
      this.#waiting.push({ asked, resolve, reject })
    })
  }

  /** Like {@link load} for several calls, sent at once: they have been collected already. */
  askNow(all: readonly Asked[]): Promise<Answer>[] {
    const waiting: Waiting<Asked, Answer>[] = []
    const answers = all.map(
      (asked) => new Promise<Answer>((resolve, reject) => waiting.push({ asked, resolve, reject })),
    )
    this.#askInGroups(waiting)
    return answers
  }

  /** Like {@link load}, in a statement of its own. */
  loadAlone(asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      void this.#askAlone({ asked, resolve, reject }, false)
    })
  }

  #askAll(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#askInGroups(waiting)
  }

  #askInGroups(waiting: readonly Waiting<Asked, Answer>[]): void {
    const groups: Group<Asked, Answer>[] = []
    for (const one of waiting) {
      if (this.#keysOf(one).some((key) => this.#alone.isHeldUp(key))) void this.#askAlone(one, true)
      else this.#group(one, groups)
    }
    for (const group of groups) void this.#askGroup(group)
  }

  #group(one: Waiting<Asked, Answer>, groups: Group<Asked, Answer>[]): void {
    const row = this.#rowOf(one)
    const queue = row === undefined ? undefined : this.#queues.get(row)
    const onlyRow = row !== undefined && this.#atRows.isHeldUp(row) ? row : undefined
    const group = groups.find(
      (other) => other.onlyRow === onlyRow && this.#mayJoin(other, one, queue && row),
    )
    if (queue && !group) queue.push(one)
    else this.#place(one, group ?? startGroup(groups, onlyRow), row)
  }

  /** @param row the shared row of the call, if a statement has it. */
  #mayJoin(group: Group<Asked, Answer>, one: Waiting<Asked, Answer>, row?: string): boolean {
    const { mostTogether = MOST_TOGETHER, addsUp = false } = this.#options
    if (group.all.length >= mostTogether) return false
    if (row !== undefined && !group.sharedRows.has(row)) return false
    return addsUp || !this.#keysOf(one).some((key) => group.keys.has(key))
  }

  #place(one: Waiting<Asked, Answer>, group: Group<Asked, Answer>, row?: string): void {
    group.all.push(one)
    for (const key of this.#keysOf(one)) group.keys.add(key)
    if (row === undefined || group.sharedRows.has(row)) return
    group.sharedRows.add(row)
    this.#queues.set(row, [])
  }

  #keysOf = ({ asked }: Waiting<Asked, Answer>) => this.#options.keysOf?.(asked) ?? []

  #rowOf = ({ asked }: Waiting<Asked, Answer>) => this.#options.sharedRowOf?.(asked)

  async #askGroup({ all, sharedRows }: Group<Asked, Answer>): Promise<void> {
    const done = this.#askTogether(all)
    if (sharedRows.size === 0) return
    await settledWithin(done, MOST_AT_ROW_MS)
    const next = [...sharedRows].flatMap((row) => this.#queues.get(row) ?? [])
    for (const row of sharedRows) this.#queues.delete(row)
    this.#askInGroups(next)
  }

  async #askTogether(group: readonly Waiting<Asked, Answer>[]): Promise<void> {
    const [first] = group
    if (group.length === 1 && first) return this.#askAlone(first, false)
    try {
      const answers = await this.#options.run(group.map(({ asked }) => asked))
      for (const [index, { resolve }] of group.entries()) resolve(answers[index] as Answer)
    } catch (error) {
      // Without an answer the outcome is unknown, so only the caller may retry.
      if (!mayConcernOne(error)) for (const { reject } of group) reject(error)
      else for (const one of group) void this.#askAlone(one, isLockTimeout(error))
    }
  }

  async #askAlone(one: Waiting<Asked, Answer>, isSuspected: boolean): Promise<void> {
    const { asked, resolve, reject } = one
    const ask = async () => (await this.#options.run([asked]))[0] as Answer
    const row = this.#rowOf(one)
    const atRow = row === undefined ? ask : () => this.#atRows.run(row, isSuspected, ask)
    // In one order, so that no two calls wait for each other.
    const behind = [...this.#keysOf(one)]
      .sort()
      .reduceRight((work, key) => () => this.#alone.run(key, isSuspected, work), atRow)
    await behind().then(resolve, reject)
  }
}

/** Calls that go into one statement, with what they lock. */
type Group<Asked, Answer> = {
  all: Waiting<Asked, Answer>[]
  keys: Set<string>
  sharedRows: Set<string>
  /** The row of all calls in it, where that row is held up: no others are to wait for it. */
  onlyRow: string | undefined
}

function startGroup<Asked, Answer>(
  groups: Group<Asked, Answer>[],
  onlyRow: string | undefined,
): Group<Asked, Answer> {
  const group = { all: [], keys: new Set<string>(), sharedRows: new Set<string>(), onlyRow }
  groups.push(group)
  return group
}
