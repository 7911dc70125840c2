import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import * as argon2 from 'argon2'
import { FairQueue } from '../concurrency/fair-queue.ts'
import { AppError } from '../errors.ts'
import type { KeyRing } from './sealed.ts'

/**
 * `memoryCost` is in KiB. One of the minimum settings of the OWASP Password Storage Cheat Sheet:
 * about 30 ms and 19 MiB per hash. The package's own default takes eight times as long.
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
/** Networks with a successful sign-in; the oldest entry is evicted first. */
const MAX_KNOWN_NETWORKS = 10_000
/** Callers on this machine: administration, tests. */
const HERE = 'here'
/** A generous estimate of one hash on a busy machine, for Retry-After. */
const SECONDS_PER_HASH = 0.05

/** For the HMAC of passwords under the key-encryption keys. */
export type Pepper = Pick<KeyRing, 'currentKeyId' | 'mac'>

/** The HKDF label of the HMAC's key. */
const PEPPER_LABEL = 'password'

type Options = {
  /** Concurrent hashes; overrides the limit from the thread pool size and the cores. */
  concurrency?: number
  /** Calls that may wait for a slot before the next is refused. */
  maxQueued?: number
  /** `UV_THREADPOOL_SIZE` of this process; libuv's default is 4. */
  threadPoolSize?: number
  /** Called for a hash that cannot be checked, since its key-encryption key is not configured. */
  onMissingKey?: (keyId: string) => void
}

/**
 * Hashes and checks passwords with argon2id, over their HMAC under a key-encryption key: stolen
 * hashes alone cannot be attacked by guessing.
 *
 * The PHC string names that key: `keyid`, base64 of its 8 bytes. A hash without one is an older
 * build's, of the password itself.
 *
 * argon2 runs on libuv's thread pool, which file reads, DNS and web crypto share. The cap leaves
 * two threads to them, and bounds the memory of a burst of logins; rate limits come before this.
 *
 * Each caller passes a fair-queue key that names a network or a user, so a flood from one network
 * delays only itself. A flood from more networks than there are places still leaves every other
 * turn, and a place, to networks with a successful sign-in.
 */
export class Passwords {
  readonly #queue: FairQueue
  readonly #knownNetworks = new Set<string>()
  readonly #pepper: Pepper
  readonly #onMissingKey: (keyId: string) => void
  /** Well-formed, with the current cost and key, but of no password: its digest is random. */
  readonly #dummyHash: string

  constructor(pepper: Pepper, options: Options = {}) {
    this.#pepper = pepper
    this.#dummyHash = withKeyId(dummyHash(), pepper.currentKeyId)
    this.#onMissingKey = options.onMissingKey ?? (() => {})
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

  /**
   * @returns the PHC string to store; it names its own parameters, salt and key.
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
    const keyId = this.#pepper.currentKeyId
    const secret = this.#secretOf(password, keyId) as Buffer
    const hash = await this.#queue.run(from, () => argon2.hash(secret, ARGON2_PARAMETERS))
    return withKeyId(hash, keyId)
  }

  /**
   * Whether the password matches the hash. Without a hash (no such user), with a password too long
   * to be anyone's, or a hash whose key is gone, the same work is done against a dummy and the
   * answer is false, so that the timing does not reveal which accounts exist.
   *
   * @throws AppError `overloaded` when the queue is full, with or without a hash.
   */
  async verify(hash: string | undefined, password: string, from = HERE): Promise<boolean> {
    const isPossible = hash !== undefined && password.length <= MAX_PASSWORD_LENGTH
    const secret = isPossible ? this.#secretOf(password, keyIdOf(hash)) : undefined
    if (!isPossible || secret === undefined) {
      await this.#verifyDummy(password.slice(0, MAX_PASSWORD_LENGTH), from)
      return false
    }
    const isRight = await this.#queue.run(from, () => argon2.verify(hash, secret))
    if (isRight) this.#noteNetwork(from)
    return isRight
  }

  /** Whether the hash has outdated parameters or another key; ask after a successful login. */
  needsRehash(hash: string): boolean {
    if (keyIdOf(hash) !== this.#pepper.currentKeyId) return true
    return !hash.startsWith('$argon2id$') || argon2.needsRehash(hash, ARGON2_PARAMETERS)
  }

  async #verifyDummy(password: string, from: string): Promise<void> {
    const secret = this.#secretOf(password, this.#pepper.currentKeyId) as Buffer
    await this.#queue.run(from, () => argon2.verify(this.#dummyHash, secret))
  }

  /** The input of the hash in place of the password; undefined when the key is not configured. */
  #secretOf(password: string, keyId: string | undefined): Buffer | undefined {
    const normal = normalize(password)
    if (keyId === undefined) return Buffer.from(normal)
    const secret = this.#pepper.mac(PEPPER_LABEL, normal, keyId)
    if (secret === undefined) this.#onMissingKey(keyId)
    return secret
  }

  #noteNetwork(from: string): void {
    const [oldest] = this.#knownNetworks.size < MAX_KNOWN_NETWORKS ? [] : this.#knownNetworks
    if (oldest !== undefined) this.#knownNetworks.delete(oldest)
    this.#knownNetworks.delete(from)
    this.#knownNetworks.add(from)
  }
}

/** Two threads stay free for other users of the pool; more hashes than cores gain nothing. */
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

const withKeyId = (hash: string, keyId: string) => {
  const id = Buffer.from(keyId, 'hex').toString('base64').replace(/=+$/, '')
  return hash.replace(/^(\$\w+\$v=\d+\$[^$]+)/, `$1,keyid=${id}`)
}

/** In hexadecimal digits; undefined for a hash of the password itself. */
function keyIdOf(hash: string): string | undefined {
  const id = /^\$\w+\$v=\d+\$[^$]*,keyid=([^,$]+)/.exec(hash)?.[1]
  return id === undefined ? undefined : Buffer.from(id, 'base64').toString('hex')
}

function dummyHash(): string {
  const { memoryCost, timeCost, parallelism } = ARGON2_PARAMETERS
  const [salt, digest] = [randomBytes(16), randomBytes(32)].map((bytes) =>
    bytes.toString('base64').replace(/=+$/, ''),
  )
  return `$argon2id$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${salt}$${digest}`
}
