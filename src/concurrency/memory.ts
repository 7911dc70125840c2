import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { AppError } from '../errors.ts'

/** Above this share of what there is, new work waits. What runs needs the rest to come to its end. */
const HIGH_SHARE = 0.8
/** Reading the figures costs some microseconds: not for each request of a burst. */
const SAMPLE_MS = 50
const RETRY_AFTER_SECONDS = 5

export type MemoryFigures = {
  heapUsedBytes: number
  heapLimitBytes: number
  /** The heap and all that hangs on it outside: buffers, the embedded database. */
  usedBytes: number
  /** Of the container, or of the machine. */
  limitBytes: number
}

/**
 * Tells when memory is short, so that new work is refused before the process dies of what it has.
 *
 * It counts what is in use, not what the process has from the system (RSS): an allocator keeps what
 * was freed for the next time, and by that measure one peak would close the gateway for good.
 */
export class Memory {
  readonly #read: () => MemoryFigures
  #isShort = false
  #sampledAt = Number.NEGATIVE_INFINITY

  constructor(read: () => MemoryFigures = readFigures) {
    this.#read = read
  }

  get isShort(): boolean {
    const now = performance.now()
    if (now - this.#sampledAt >= SAMPLE_MS) {
      this.#isShort = isHigh(this.#read())
      this.#sampledAt = now
    }
    return this.#isShort
  }

  /** @throws AppError overloaded. */
  refuseWhenShort(): void {
    if (!this.isShort) return
    throw new AppError(
      'overloaded',
      `The gateway is short of memory and takes no new work. Try again in ${RETRY_AFTER_SECONDS} s.`,
      { retryAfterSeconds: RETRY_AFTER_SECONDS },
    )
  }
}

const isHigh = ({ heapUsedBytes, heapLimitBytes, usedBytes, limitBytes }: MemoryFigures) =>
  heapUsedBytes > heapLimitBytes * HIGH_SHARE || usedBytes > limitBytes * HIGH_SHARE

function readFigures(): MemoryFigures {
  // Not process.memoryUsage(), which asks the system for more than this, and takes ten times as long.
  const heap = getHeapStatistics()
  return {
    heapUsedBytes: heap.used_heap_size,
    heapLimitBytes: heap.heap_size_limit,
    usedBytes: heap.total_heap_size + heap.external_memory,
    limitBytes: LIMIT_BYTES,
  }
}

/** Without a container Node names none, or one beyond any machine. Asked once: it reads files. */
const LIMIT_BYTES = (() => {
  const constrained = process.constrainedMemory()
  const total = totalmem()
  return constrained > 0 && constrained < total ? constrained : total
})()

/** The most that the heap and what hangs on it can come to. */
export const heapAndLimitBytes = () => Math.min(getHeapStatistics().heap_size_limit, LIMIT_BYTES)
