/**
 * How many bytes of requests this process holds at once: of one user, of one address without a
 * known user, and altogether. Whoever is known has a share that strangers cannot take.
 */

import { AppError } from '../../errors.ts'

const RETRY_AFTER_SECONDS = 1

export type BodyBudgetLimits = {
  processBytes: number
  /** Of all that come without a known user together. */
  strangersBytes: number
  userBytes: number
  addressBytes: number
}

/** Whom bytes are counted for. */
export type Sender = { kind: 'user' | 'address'; key: string }

/** Bytes that one request holds. */
export type Held = {
  /** Counts more. @throws AppError as {@link BodyBudget.hold} does. */
  grow(bytes: number): void
  /** Gives all of them back; once more does nothing. */
  release(): void
}

/** Shares of the memory there is, each with room for two of the largest bodies at least. */
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

  /** @throws AppError rate_limited when it is too much for the sender, overloaded for the process. */
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
