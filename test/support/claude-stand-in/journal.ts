import type { IncomingHttpHeaders } from 'node:http'
import type { Billed } from './ledger.ts'

const MAX_ENTRIES = 10_000
const MAX_BODY_CHARACTERS = 64 * 1024 * 1024
/** Old entries go in batches, so that a full journal costs nothing per request. */
const BATCH = 1000

/** One request as it arrived, and the status it was answered with. */
export interface JournalEntry {
  method: string
  /** With the query string. */
  path: string
  /** Names in lower case. */
  headers: IncomingHttpHeaders
  body: string
  /** The parsed body; undefined when there was none or it was not JSON. */
  json: unknown
  /** From `x-api-key`, else the bearer token. */
  key: string | undefined
  /** Undefined until answered, and for good when the connection was cut before. */
  status: number | undefined
  /** What Anthropic would have billed for it so far; undefined when nothing. */
  billed: Billed | undefined
  /** Milliseconds since the epoch. */
  at: number
}

/** The newest requests, bounded in number and in size. */
export class Journal {
  readonly entries: JournalEntry[] = []
  #bodyCharacters = 0

  add(entry: JournalEntry): JournalEntry {
    this.entries.push(entry)
    this.#bodyCharacters += entry.body.length
    if (this.entries.length > MAX_ENTRIES) this.#drop(BATCH)
    while (this.#bodyCharacters > MAX_BODY_CHARACTERS && this.entries.length > 1) this.#drop(1)
    return entry
  }

  messageRequests(): JournalEntry[] {
    return this.entries.filter(
      ({ method, path }) => method === 'POST' && path.split('?')[0] === '/v1/messages',
    )
  }

  clear(): void {
    this.#drop(this.entries.length)
  }

  #drop(count: number): void {
    for (const { body } of this.entries.splice(0, count)) this.#bodyCharacters -= body.length
  }
}
