/**
 * Group commit for the embedded database. At every commit PostgreSQL asks for a flush of its
 * write-ahead log and gets an immediate success; one flush on another thread then serves all
 * commits before it, and their callers wait for that flush ({@link LogFlush.settled}).
 *
 * This is safe because no other file is written before the log is really flushed: flushing-fs.ts
 * calls {@link LogFlush.flushNow} before every other write. So a power cut leaves a state that
 * PostgreSQL itself could have left, and loses only commits that were not yet acknowledged.
 */

import { fdatasync, fdatasyncSync } from 'node:fs'
import { AppError } from '../../../errors.ts'

/**
 * When a commit is acknowledged. `full`: once it is on the disk. `fast`: at once; it reaches the
 * disk within {@link FAST_FLUSH_MS} plus the time of a flush.
 */
export type Durability = 'full' | 'fast'

/** Well below the one second of commits that `fast` may lose. */
const FAST_FLUSH_MS = 250

/** An open segment of the log; `release` lets it close. */
export type LogSegment = { fd: number; release(): void }

export class LogFlush {
  readonly #durability: Durability
  /** Segments written since the last flush began. */
  #unflushed = new Map<number, LogSegment>()
  /** Segments of the flush that runs on another thread. */
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

  /** The first flush error. It fails all later commits: the state of the disk is unknown. */
  get failure(): AppError | undefined {
    return this.#failure
  }

  /** @param open opens the segment, or keeps it open, until its flush. */
  request(fd: number, open: () => LogSegment): void {
    if (!this.#unflushed.has(fd)) this.#unflushed.set(fd, open())
    if (this.#durability === 'fast') this.#flushLater()
  }

  /** Called before every write that relies on the log. @throws the system's error. */
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
   * Resolves once all earlier commits are on the disk; at once with `fast`.
   *
   * @throws AppError database_unavailable once a flush has failed, then forever: what failed may
   *   be lost, and only a restart finds out what is there.
   */
  async settled(): Promise<void> {
    if (this.#durability === 'full') await this.#flushed()
    if (this.#failure) throw this.#failure
  }

  /** Flushes what is left. @throws AppError like {@link settled}. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#flushed()
    if (this.#failure) throw this.#failure
  }

  #flushed(): Promise<void> {
    if (this.#unflushed.size === 0) return this.#running ?? Promise.resolve()
    if (!this.#running) return this.#start()
    // Commits after the running flush began share one next flush.
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
