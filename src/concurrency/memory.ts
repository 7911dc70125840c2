import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { AppError } from '../errors.ts'

/** Above this share of the limit, new work is refused. Running work needs the rest to finish. */
const HIGH_SHARE = 0.8
/** Shared by a burst of requests, since reading the figures takes some microseconds. */
const SAMPLE_MS = 50
const RETRY_AFTER_SECONDS = 5

export type MemoryFigures = {
  heapUsedBytes: number
  heapLimitBytes: number
  /** The heap and what it references outside: buffers, the embedded database. */
  usedBytes: number
  /** Of the container or the machine. */
  limitBytes: number
}

/**
 * Detects a shortage of memory, so that new work is refused before the process runs out of it.
 *
 * Counts the memory in use, not the resident set (RSS): an allocator keeps freed memory for reuse,
 * so by RSS one peak would make the gateway refuse work forever.
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
  // Not process.memoryUsage(), which also asks the system and takes ten times as long.
  const heap = getHeapStatistics()
  return {
    heapUsedBytes: heap.used_heap_size,
    heapLimitBytes: heap.heap_size_limit,
    usedBytes: heap.total_heap_size + heap.external_memory,
    limitBytes: LIMIT_BYTES,
  }
}

/** Without a container Node reports none, or a huge one. Read once: it reads files. */
const LIMIT_BYTES = (() => {
  const constrained = process.constrainedMemory()
  const total = totalmem()
  return constrained > 0 && constrained < total ? constrained : total
})()

/** The upper bound of the heap and what it references outside. */
export const heapAndLimitBytes = () => Math.min(getHeapStatistics().heap_size_limit, LIMIT_BYTES)
