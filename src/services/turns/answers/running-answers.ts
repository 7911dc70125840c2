import { wholeText } from '../../../text/whole-text.ts'
import { RunningCalls } from '../../billing/running-calls.ts'
import type { SendResult } from '../receipt.ts'

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

type Checkpoint = { answerId: string; content: Buffer; tokens: number }

type AnswerCall = {
  controller: AbortController
  answer: RunningAnswer
  /** Seals the text so far, with its estimated tokens. */
  checkpoint: (text: string) => { content: Buffer; tokens: number }
  checkpointedLength: number
}

const hasGrown = ({ answer, checkpointedLength }: AnswerCall) =>
  answer.length !== checkpointedLength

const CHECKPOINTS_AT_ONCE = 32

/** The answers this process is generating: checkpoints their text besides. */
export class RunningAnswers extends RunningCalls<AnswerCall> {
  /** Starts the work, which continues without its caller. */
  start(
    id: string,
    checkpoint: AnswerCall['checkpoint'],
    work: (answer: RunningAnswer) => Promise<SendResult>,
  ): void {
    const answer = new RunningAnswer(id)
    const { controller } = answer
    void this.add(id, { controller, answer, checkpoint, checkpointedLength: 0 }, () => work(answer))
  }

  /** `done` rejects with the caller's error; it settles once everything is written. */
  find(id: string): { answer: RunningAnswer; done: Promise<SendResult> } | undefined {
    const entry = this.entry(id)
    return entry && { answer: entry.call.answer, done: entry.done as Promise<SendResult> }
  }

  /**
   * The sealed texts of the answers that have grown since the last call, in small batches. Seals
   * lazily, so that a thousand long texts do not block the event loop.
   */
  *takeCheckpoints(): Generator<Checkpoint[]> {
    const grown = this.calls.filter(hasGrown)
    for (let start = 0; start < grown.length; start += CHECKPOINTS_AT_ONCE) {
      yield grown.slice(start, start + CHECKPOINTS_AT_ONCE).map((call) => {
        const text = call.answer.textSoFar
        call.checkpointedLength = call.answer.length
        return { answerId: call.answer.id, ...call.checkpoint(text) }
      })
    }
  }
}
