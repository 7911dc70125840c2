/**
 * Limits the request bytes that this process holds at once: per user, per address without a known
 * user, and in total. Known users have a share that unknown senders cannot take.
 */

import { AppError } from '../../errors.ts'

const RETRY_AFTER_SECONDS = 1

export type BodyBudgetLimits = {
  processBytes: number
  /** All senders without a known user together. */
  strangersBytes: number
  userBytes: number
  addressBytes: number
}

/** Whom the bytes are counted for. */
export type Sender = { kind: 'user' | 'address'; key: string }

/** The bytes that one request holds. */
export type Held = {
  /** Counts more. @throws AppError as {@link BodyBudget.hold} does. */
  grow(bytes: number): void
  /** Releases all of them. Idempotent. */
  release(): void
}

/** Shares of the memory available, each at least two bodies of maximum size. */
export function bodyBudgetLimits(memoryBytes: number, maxBodyBytes: number): BodyBudgetLimits {
  const share = (part: number) =>
    Math.max(2 * maxBodyBytes, Math.min(MAX_PROCESS_BYTES, memoryBytes / 8) * part)
  return {
    processBytes: share(1),
    strangersBytes: share(1 / 2),
    userBytes: share(1 / 4),
    addressBytes: share(1 / 8),
  }
}

const MAX_PROCESS_BYTES = 256 * 1024 * 1024

export class BodyBudget {
  readonly #limits: BodyBudgetLimits
  readonly #bySender = new Map<string, number>()
  #strangers = 0
  #all = 0

  constructor(limits: BodyBudgetLimits) {
    this.#limits = limits
  }

  /** @throws AppError rate_limited at the sender's limit, overloaded at the process's limit. */
  hold(sender: Sender, bytes: number): Held {
    let held = 0
    const grow = (more: number) => {
      this.#refuse(sender, more)
      this.#add(sender, more)
      held += more
    }
    grow(bytes)
    return {
      grow,
      release: () => {
        this.#add(sender, -held)
        held = 0
      },
    }
  }

  #refuse({ kind, key }: Sender, bytes: number): void {
    const { processBytes, strangersBytes, userBytes, addressBytes } = this.#limits
    const own = (this.#bySender.get(`${kind}:${key}`) ?? 0) + bytes
    if (own > (kind === 'user' ? userBytes : addressBytes)) throw tooMuchAtOnce(kind)
    const isTooMuchOfStrangers = kind === 'address' && this.#strangers + bytes > strangersBytes
    if (isTooMuchOfStrangers || this.#all + bytes > processBytes) throw tooMuchForAll()
  }

  #add({ kind, key }: Sender, bytes: number): void {
    const name = `${kind}:${key}`
    const own = (this.#bySender.get(name) ?? 0) + bytes
    if (own > 0) this.#bySender.set(name, own)
    else this.#bySender.delete(name)
    if (kind === 'address') this.#strangers += bytes
    this.#all += bytes
  }
}

const tooMuchAtOnce = (kind: Sender['kind']) =>
  new AppError(
    'rate_limited',
    `Too many large requests at once from this ${kind}. Try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS, details: { limited_by: 'gateway' } },
  )

const tooMuchForAll = () =>
  new AppError(
    'overloaded',
    `The gateway is receiving as much as it can hold. Try again in ${RETRY_AFTER_SECONDS} s.`,
    { retryAfterSeconds: RETRY_AFTER_SECONDS },
  )
