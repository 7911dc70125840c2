import { AppError } from '../../errors.ts'
import { wholeText } from '../../text/whole-text.ts'
import type { SendResult } from './receipt.ts'
import { INTERRUPTED } from './turn.ts'

/** One answer that this process is generating. It is not tied to a caller's connection. */
export class RunningAnswer {
  readonly id: string
  readonly controller = new AbortController()
  readonly #listeners = new Set<(textSoFar: string) => void>()
  readonly #storageFailureListeners = new Set<() => void>()
  #text = ''

  constructor(id: string) {
    this.id = id
  }

  /** Without half a surrogate pair at the end. */
  get textSoFar(): string {
    return wholeText(this.#text)
  }

  /** Length of the raw text, without scanning it. */
  get length(): number {
    return this.#text.length
  }

  /** Called for every piece of text: cheap, and never throws into the calling stream. */
  readonly report = (textSoFar: string): void => {
    this.#text = textSoFar
    for (const listener of this.#listeners) listener(textSoFar)
  }

  /** Tells the waiting callers that the answer cannot be stored for now. */
  reportStorageFailure(): void {
    for (const tell of this.#storageFailureListeners) tell()
  }

  onStorageFailure(tell: () => void): void {
    this.#storageFailureListeners.add(tell)
  }

  /** @returns a function that removes the listener. */
  onText(listener: ((textSoFar: string) => void) | undefined): () => void {
    if (!listener) return () => {}
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

type Entry = {
  answer: RunningAnswer
  /** Rejects with the caller's error; settles once everything is written. */
  done: Promise<SendResult>
  /** Seals the text so far, with its estimated tokens. */
  checkpoint: (text: string) => { content: Buffer; tokens: number }
  checkpointedLength: number
}

const hasGrown = ({ answer, checkpointedLength }: Entry) => answer.length !== checkpointedLength

const CHECKPOINTS_AT_ONCE = 32

export type Checkpoint = { answerId: string; content: Buffer; tokens: number }

/** The answers this process is generating: waits for them, stops them, checkpoints their text. */
export class RunningAnswers {
  readonly #entries = new Map<string, Entry>()
  #stopping = false

  get ids(): string[] {
    return [...this.#entries.keys()]
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  /** @throws AppError shutting_down once {@link interrupt} was called. */
  refuseWhenStopping(): void {
    if (!this.#stopping) return
    throw new AppError('shutting_down', 'The gateway is restarting. Try again in a few seconds.', {
      retryAfterSeconds: 5,
    })
  }

  /** Starts the work, which continues without its caller; {@link drain} waits for it. */
  start(
    id: string,
    checkpoint: Entry['checkpoint'],
    work: (answer: RunningAnswer) => Promise<SendResult>,
  ): void {
    const answer = new RunningAnswer(id)
    const done = work(answer).finally(() => this.#entries.delete(id))
    // Waiting callers get the error; without one it must not end the process as unhandled.
    done.catch(() => {})
    this.#entries.set(id, { answer, done, checkpoint, checkpointedLength: 0 })
  }

  find(id: string): Pick<Entry, 'answer' | 'done'> | undefined {
    return this.#entries.get(id)
  }

  /** Stops one answer at its user's request, made here or through another replica. */
  cancel(id: string): void {
    this.abort(id, new Error('cancelled by its user'))
  }

  /** Stops one answer, if this process generates it. */
  abort(id: string, reason: unknown): void {
    this.#entries.get(id)?.answer.controller.abort(reason)
  }

  /**
   * The sealed texts of the answers that have grown since the last call, in small batches. Seals
   * lazily, so that a thousand long texts do not block the event loop.
   */
  *takeCheckpoints(): Generator<Checkpoint[]> {
    const grown = [...this.#entries.values()].filter(hasGrown)
    for (let start = 0; start < grown.length; start += CHECKPOINTS_AT_ONCE) {
      yield grown.slice(start, start + CHECKPOINTS_AT_ONCE).map((entry) => {
        const text = entry.answer.textSoFar
        entry.checkpointedLength = entry.answer.length
        return { answerId: entry.answer.id, ...entry.checkpoint(text) }
      })
    }
  }

  /** Waits up to `graceMs` for all answers, including new ones, then acts as {@link interrupt}. */
  async drain(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([this.untilIdle(), grace])
    clearTimeout(timer)
    await this.interrupt()
  }

  /** Resolves when nothing is running, including answers that begin meanwhile. */
  untilIdle(): Promise<void> {
    return this.#untilIdle(() => {})
  }

  /** Takes no new work, interrupts what is running, and waits until it is recorded. */
  async interrupt(): Promise<void> {
    this.#stopping = true
    await this.#untilIdle(({ answer }) => answer.controller.abort(INTERRUPTED))
  }

  /** Repeats until idle: a call that was admitted just before may begin during the first pass. */
  async #untilIdle(touch: (entry: Entry) => void): Promise<void> {
    while (this.#entries.size > 0) {
      const all = [...this.#entries.values()]
      all.forEach(touch)
      await Promise.allSettled(all.map(({ done }) => done))
    }
  }
}
