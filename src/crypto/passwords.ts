import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import * as argon2 from 'argon2'
import { AppError } from '../errors.ts'
import { FairQueue } from './fair-queue.ts'

/**
 * `memoryCost` is in KiB. One of the minimum settings of the OWASP Password Storage Cheat Sheet:
 * about 30 ms and 19 MiB a hash. The package's own default costs eight times the time.
 */
export const ARGON2_PARAMETERS = {
  type: argon2.argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
} as const

/** In UTF-16 code units, as `String.length` and the input schemas count. */
export const MAX_PASSWORD_LENGTH = 256

const DEFAULT_MAX_QUEUED = 64
const DEFAULT_THREAD_POOL_SIZE = 4
/** Networks from which somebody signed in; the one that was noted first goes first. */
const MAX_KNOWN_NETWORKS = 10_000
/** Whoever asks on this machine: administration, tests. */
const HERE = 'here'
/** A generous guess at one hash on a busy machine, for Retry-After. */
const SECONDS_PER_HASH = 0.05

type Options = {
  /** Hashes in flight at once; overrides what the pool size and the cores would allow. */
  concurrency?: number
  /** Calls that may wait for a slot before the next is refused. */
  maxQueued?: number
  /** `UV_THREADPOOL_SIZE` of this process; libuv's default is 4. */
  threadPoolSize?: number
}

/**
 * Hashes and checks passwords with argon2id.
 *
 * argon2 runs on libuv's thread pool, which file reads, DNS and web crypto share. The cap leaves
 * two threads to them, and bounds the memory of a burst of logins; rate limits come before this.
 *
 * Whoever asks says from where, any text that names a network or a user. They take turns: a flood
 * from one network waits for itself. One from more networks than there are places still leaves every
 * other turn, and a place, to networks that a right password came from.
 */
export class Passwords {
  readonly #queue: FairQueue
  readonly #knownNetworks = new Set<string>()
  /** Well-formed, of the current cost, and of no password: its digest is random. */
  readonly #dummyHash = dummyHash()

  constructor(options: Options = {}) {
    const concurrency = options.concurrency ?? hashesAtOnce(options.threadPoolSize)
    const maxQueued = options.maxQueued ?? DEFAULT_MAX_QUEUED
    const retryAfterSeconds = Math.max(1, Math.ceil((maxQueued / concurrency) * SECONDS_PER_HASH))
    this.#queue = new FairQueue({
      concurrency,
      maxQueued,
      isTrusted: (from) => this.#knownNetworks.has(from),
      refuse: () =>
        new AppError(
          'overloaded',
          'Too many sign-ins at this moment. Try again in a few seconds.',
          {
            retryAfterSeconds,
          },
        ),
    })
  }

  /** Calls waiting for a free slot. */
  get queued(): number {
    return this.#queue.queued
  }

  /**
   * @returns the PHC string to store; it names its own parameters and salt.
   * @throws AppError `invalid_input` over {@link MAX_PASSWORD_LENGTH}, `overloaded` when the queue
   * is full.
   */
  async hash(password: string, from = HERE): Promise<string> {
    if (password.length > MAX_PASSWORD_LENGTH) {
      throw new AppError(
        'invalid_input',
        `A password may have at most ${MAX_PASSWORD_LENGTH} characters.`,
      )
    }
    return this.#queue.run(from, () => argon2.hash(normalize(password), ARGON2_PARAMETERS))
  }

  /**
   * Whether the password is the hash's. Without a hash (no such user), or with a password too long
   * to be anyone's, the same work is done against a dummy and the answer is false, so that the time
   * taken does not tell which accounts exist.
   *
   * @throws AppError `overloaded` when the queue is full, with or without a hash.
   */
  async verify(hash: string | undefined, password: string, from = HERE): Promise<boolean> {
    if (hash === undefined || password.length > MAX_PASSWORD_LENGTH) {
      await this.#verify(this.#dummyHash, password.slice(0, MAX_PASSWORD_LENGTH), from)
      return false
    }
    const isRight = await this.#verify(hash, password, from)
    if (isRight) this.#noteNetwork(from)
    return isRight
  }

  /** Whether the hash was made with other parameters than today's; ask after a good login. */
  needsRehash(hash: string): boolean {
    return !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, ARGON2_PARAMETERS)
  }

  #verify(hash: string, password: string, from: string): Promise<boolean> {
    return this.#queue.run(from, () => argon2.verify(hash, normalize(password)))
  }

  #noteNetwork(from: string): void {
    const [oldest] = this.#knownNetworks.size < MAX_KNOWN_NETWORKS ? [] : this.#knownNetworks
    if (oldest !== undefined) this.#knownNetworks.delete(oldest)
    this.#knownNetworks.delete(from)
    this.#knownNetworks.add(from)
  }
}

/** Two threads stay free for everything else that needs the pool; more than the cores gain nothing. */
export function hashesAtOnce(
  threadPoolSize = DEFAULT_THREAD_POOL_SIZE,
  cores = availableParallelism(),
): number {
  return Math.max(1, Math.min(cores, threadPoolSize - 2))
}

/** One password, however a keyboard composed its accents (NIST SP 800-63B: normalize to NFKC). */
function normalize(password: string): string {
  return password.normalize('NFKC')
}

function dummyHash(): string {
  const { memoryCost, timeCost, parallelism } = ARGON2_PARAMETERS
  const [salt, digest] = [randomBytes(16), randomBytes(32)].map((bytes) =>
    bytes.toString('base64').replace(/=+$/, ''),
  )
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${salt}$${digest}`
}
