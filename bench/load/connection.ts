/** One connection that always has one request under way. */

import { Client, type Dispatcher } from 'undici'
import { microsNow } from '../servers/claude-answer.ts'
import type { Item, Job } from './job.ts'
import type { Recorder } from './recorder.ts'

const STAMP = /@(\d{9,16})@/
const ERROR_PAUSE_MS = 20

export class Connection {
  readonly #client: Client
  readonly #job: Job
  readonly #items: Item[]
  readonly #recorder: Recorder
  readonly #mayBegin: () => number | undefined
  readonly #expected: Buffer
  readonly #bodyParts: string[]
  #next = 0

  /** @param mayBegin gives each request its id, and none once the job is over. */
  constructor(
    job: Job,
    { origin, items }: { origin: string; items: Item[] },
    recorder: Recorder,
    mayBegin: () => number | undefined,
  ) {
    this.#client = new Client(origin, { headersTimeout: 120_000, bodyTimeout: 120_000 })
    this.#job = job
    this.#items = items
    this.#recorder = recorder
    this.#mayBegin = mayBegin
    this.#expected = Buffer.from(job.expect)
    this.#bodyParts = job.body.split(/(\{\{(?:id|value)\}\})/)
  }

  /** Resolves when the job is over and the last response is in. */
  async run(): Promise<void> {
    for (let id = this.#mayBegin(); id !== undefined; id = this.#mayBegin()) {
      const item = this.#items[this.#next++ % this.#items.length] ?? {}
      const error = await this.#send(id, item)
      if (error === undefined) continue
      this.#recorder.addError(error)
      await new Promise((resolve) => setTimeout(resolve, ERROR_PAUSE_MS))
    }
    await this.#client.close()
  }

  /** @returns what went wrong. */
  #send(id: number, { headers = {}, value = '' }: Item): Promise<string | undefined> {
    const { path, headers: common } = this.#job
    const fill = (part: string) => (part === '{{id}}' ? id : part === '{{value}}' ? value : part)
    const body = this.#bodyParts.map(fill).join('')
    return new Promise((resolve) => {
      const exchange = new Exchange(
        this.#expected,
        this.#job.findsStamps === true,
        resolve,
        this.#recorder,
      )
      this.#client.dispatch(
        { path, method: 'POST', headers: { ...common, ...headers }, body },
        exchange,
      )
    })
  }
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #expected: Buffer
  readonly #findsStamps: boolean
  readonly #done: (error: string | undefined) => void
  readonly #recorder: Recorder
  readonly #startedAt = microsNow()
  readonly #chunks: Buffer[] = []
  #status = 0
  #firstByteAt = 0
  #stamp = 0
  #stampSeenAt = 0

  constructor(
    expected: Buffer,
    findsStamps: boolean,
    done: (error: string | undefined) => void,
    recorder: Recorder,
  ) {
    this.#expected = expected
    this.#findsStamps = findsStamps
    this.#done = done
    this.#recorder = recorder
  }

  onRequestStart(): void {}

  onResponseStart(_controller: unknown, status: number): void {
    this.#status = status
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#firstByteAt ||= microsNow()
    this.#chunks.push(chunk)
    if (this.#findsStamps && this.#stamp === 0) this.#findStamp(chunk)
  }

  onResponseEnd(): void {
    const endedAt = microsNow()
    const body = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks)
    const isGood = this.#status === 200 && body?.includes(this.#expected)
    if (isGood) this.#record(endedAt)
    this.#done(isGood ? undefined : `HTTP ${this.#status}: ${excerpt(body)}`)
  }

  onResponseError(_controller: unknown, error: Error & { code?: string }): void {
    this.#done(error.code ?? error.message)
  }

  #record(endedAt: number): void {
    const stamps = {
      stampToByte: this.#firstByteAt - this.#stamp,
      stampToText: this.#stampSeenAt - this.#stamp,
    }
    this.#recorder.add({
      latency: endedAt - this.#startedAt,
      firstByte: this.#firstByteAt - this.#startedAt,
      ...(this.#stamp === 0 ? {} : stamps),
    })
  }

  #findStamp(chunk: Buffer): void {
    const [, stamp] = STAMP.exec(chunk.toString('latin1')) ?? []
    if (stamp === undefined) return
    this.#stamp = Number(stamp)
    this.#stampSeenAt = microsNow()
  }
}

/** The error's code where there is one. */
function excerpt(body: Buffer | undefined): string | undefined {
  const text = body?.toString()
  const [, code] = /"code\\?":\s?\\?"(\w+)/.exec(text ?? '') ?? []
  return code ?? text?.slice(0, 160).replace(/\s+/g, ' ')
}
