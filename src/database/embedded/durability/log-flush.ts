/**
 * Group commit for the embedded database: PostgreSQL asks for a flush of its write-ahead log at every
 * commit and is told at once that it is done; one flush on another thread then serves all commits
 * that came before it, and their callers wait for that ({@link LogFlush.settled}).
 *
 * PostgreSQL may believe so because nothing else is written before the log is really flushed: see
 * {@link LogFlush.flushNow}, which flushing-fs.ts calls ahead of every other write. So what a power
 * cut leaves is what it would have left of PostgreSQL itself, a few commits earlier that nobody was
 * told of.
 */

import { fdatasync, fdatasyncSync } from 'node:fs'
import { AppError } from '../../../errors.ts'

/**
 * When a commit is acknowledged. `full`: once it is on the disk. `fast`: at once; it is on the disk
 * within {@link FAST_FLUSH_MS} and the time of a flush.
 */
export type Durability = 'full' | 'fast'

/** Well below the second that `fast` may lose at most. */
const FAST_FLUSH_MS = 250

/** An open segment of the log; `release` once it need not stay open. */
export type LogSegment = { fd: number; release(): void }

export class LogFlush {
  readonly #durability: Durability
  /** Written since the last flush began. */
  #unflushed = new Map<number, LogSegment>()
  /** Of the flush that runs on another thread, until it is done. */
  #underWay: LogSegment[] = []
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #failure: AppError | undefined

  constructor(durability: Durability) {
    this.#durability = durability
  }

  get isPending(): boolean {
    return this.#unflushed.size > 0 || this.#underWay.length > 0
  }

  /** What keeps every further answer back: after it nobody knows what is on the disk. */
  get failure(): AppError | undefined {
    return this.#failure
  }

  /** @param open opens the segment, or keeps it open, until its flush. */
  request(fd: number, open: () => LogSegment): void {
    if (!this.#unflushed.has(fd)) this.#unflushed.set(fd, open())
    if (this.#durability === 'fast') this.#flushLater()
  }

  /** Before anything is written that relies on the log. @throws what the system says. */
  flushNow(): void {
    const segments = this.#takeUnflushed()
    try {
      for (const { fd } of [...this.#underWay, ...segments]) fdatasyncSync(fd)
      this.#underWay = []
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      for (const { release } of segments) release()
    }
  }

  /**
   * Until everything that was committed before is on the disk; at once with `fast`.
   *
   * @throws AppError database_unavailable when the disk refused, for ever after: what was refused
   *   may be lost, and only a start finds out what is there.
   */
  async settled(): Promise<void> {
    if (this.#durability === 'full') await this.#flushed()
    if (this.#failure) throw this.#failure
  }

  /** At the end. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flushed()
    if (this.#failure) throw this.#failure
  }

  #flushed(): Promise<void> {
    if (this.#unflushed.size === 0) return this.#running ?? Promise.resolve()
    if (!this.#running) return this.#start()
    // What was written after that one began needs another: one for all who come meanwhile.
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      return this.#start()
    })
    return this.#next
  }

  #start(): Promise<void> {
    const flush = this.#flush().finally(() => {
      if (this.#running === flush) this.#running = undefined
    })
    this.#running = flush
    return flush
  }

  async #flush(): Promise<void> {
    const segments = this.#takeUnflushed()
    this.#underWay = segments
    try {
      await Promise.all(segments.map(({ fd }) => flushFile(fd)))
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#underWay = []
      for (const { release } of segments) release()
    }
  }

  #flushLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      void this.#flushed()
    }, FAST_FLUSH_MS)
  }

  #takeUnflushed(): LogSegment[] {
    const segments = [...this.#unflushed.values()]
    this.#unflushed = new Map()
    return segments
  }

  #fail(cause: unknown): void {
    this.#failure ??= new AppError(
      'database_unavailable',
      'The disk refused to keep what was written to it. Look at the disk, then start the gateway again.',
      { cause, retryable: false },
    )
  }
}

function flushFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error ? reject(error) : resolve()))
  })
}
