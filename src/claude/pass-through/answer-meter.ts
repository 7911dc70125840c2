import type { Writable } from 'node:stream'
import { isOfLateness } from '../transport/answer-errors.ts'
import { codingsOf, openDecoder } from '../transport/content-coding.ts'
import type { Progress } from './bill.ts'
import { BodyMeter } from './body-meter.ts'
import { StreamMeter } from './stream-meter.ts'
import { UsageReport } from './usage-report.ts'

type Headers = Record<string, string | string[] | undefined>

/** Reads what an answer is charged for from a copy of its bytes. Never throws. */
export class AnswerMeter {
  #meter: StreamMeter | BodyMeter | null = null
  /** For an answer that is compressed although it was not to be. */
  #decoder: Writable | null = null
  #decoded: Promise<void> = Promise.resolve()
  #sentAt: number | null = null
  #isFree = false
  #isLate = false
  /** False for a coding that is not known, or a body that is not in it. */
  #isDecoded = true

  noteSent(): void {
    this.#sentAt = performance.now()
  }

  /** Errors are not billed, unless only a proxy says that it was too late for the answer. */
  begin(status: number, headers: Headers): void {
    this.#isLate = isOfLateness(status)
    this.#isFree = status !== 200 && !this.#isLate
    if (this.#isFree) return
    const isStream = /^text\/event-stream\b/i.test(String(headers['content-type'] ?? ''))
    const meter = isStream ? new StreamMeter() : new BodyMeter()
    this.#meter = meter
    const codings = codingsOf(headers['content-encoding'])
    this.#isDecoded = codings !== undefined
    if (codings === undefined || codings.length === 0) return
    this.#decoded = new Promise((resolve) => {
      this.#decoder = openDecoder(
        codings,
        (chunk) => meter.add(chunk),
        (error) => {
          this.#isDecoded = error === undefined
          resolve()
        },
      )
    })
  }

  add(chunk: Uint8Array): void {
    if (this.#decoder === null) this.#meter?.add(chunk)
    else this.#decoder.write(Buffer.from(chunk))
  }

  /** Resolves when all of the answer has been read. @param isWhole whether it ended by itself. */
  async end(isWhole: boolean): Promise<void> {
    this.#decoder?.end()
    await this.#decoded
    if (isWhole) this.#meter?.end()
    if (this.#isNoAnswer) this.#isFree = true
  }

  /** Whether an error of Anthropic's, or a page of a network, came in place of an answer. */
  get #isNoAnswer(): boolean {
    const isError = this.errorType !== null && !this.progress().report.hasStarted
    const isForeign = this.#meter instanceof BodyMeter && this.#meter.isForeign
    return isError || (isForeign && this.#isDecoded && !this.#isLate)
  }

  /** Of an `error` event, or of an error instead of an answer; null without one. */
  get errorType(): string | null {
    return this.#meter?.errorType ?? null
  }

  /** How far the answer has come. */
  progress(): Progress {
    const meter = this.#meter
    const isStream = meter instanceof StreamMeter
    return {
      report: meter?.report ?? new UsageReport(),
      textBytes: meter?.textBytes ?? 0,
      estimatedThinkingTokens: isStream ? meter.estimatedThinkingTokens : 0,
      silentMs: isStream ? meter.silentMs : 0,
      sentMs: this.#sentAt === null || this.#isFree ? null : performance.now() - this.#sentAt,
    }
  }
}
