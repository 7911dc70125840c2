import { FaultQueue } from './faults.ts'
import { Journal } from './journal.ts'
import { Ledger } from './ledger.ts'
import { PromptCache } from './prompt-cache.ts'
import type { ReplySource } from './reply.ts'

export interface StandInOptions {
  port?: number
  host?: string
  /** Keys that are let in; any non-empty key if absent. */
  validKeys?: string[]
  /** The clock of cache expiry and of the journal, in milliseconds since the epoch. */
  now?: () => number
  /** Wait before the first byte of every successful message. */
  latencyMs?: number
  /** Wait between two text chunks of a stream. */
  chunkDelayMs?: number
  /** Characters per text chunk. */
  chunkSize?: number
  /** Chunks may end within a character, with half of its surrogate pair. */
  splitsCharacters?: boolean
  /** Serve `/__stand-in/`: remote control for another process. */
  control?: boolean
}

/** Everything that outlives a request. */
export class State {
  readonly now: () => number
  readonly latencyMs: number
  readonly chunkDelayMs: number
  readonly chunkSize: number
  readonly splitsCharacters: boolean
  readonly journal = new Journal()
  readonly ledger = new Ledger()
  readonly faults = new FaultQueue()
  readonly cache: PromptCache
  readonly streams = { open: 0, aborted: 0 }
  reply: ReplySource
  #validKeys: Set<string> | undefined

  constructor(options: StandInOptions) {
    this.now = options.now ?? Date.now
    this.latencyMs = options.latencyMs ?? 0
    this.chunkDelayMs = options.chunkDelayMs ?? 0
    this.chunkSize = Math.max(1, options.chunkSize ?? 32)
    this.splitsCharacters = options.splitsCharacters ?? false
    this.cache = new PromptCache(this.now)
    this.setValidKeys(options.validKeys)
  }

  setValidKeys(keys: string[] | undefined): void {
    this.#validKeys = keys && new Set(keys)
  }

  isValidKey(key: string): boolean {
    return this.#validKeys?.has(key) ?? true
  }

  /** Forgets everything that happened; options and valid keys stay. */
  reset(): void {
    this.journal.clear()
    this.ledger.clear()
    this.faults.clear()
    this.cache.clear()
    this.streams.aborted = 0
    this.reply = undefined
  }
}
