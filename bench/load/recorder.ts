import type { LoadResult } from './job.ts'

/** Of one good response, in microseconds. */
type Times = { latency: number; firstByte: number; stampToByte?: number; stampToText?: number }

/** More kinds of errors than these are counted as one. */
const MAX_KINDS = 8

export class Recorder {
  readonly #latencies: number[] = []
  readonly #firstBytes: number[] = []
  readonly #stampToByte: number[] = []
  readonly #stampToText: number[] = []
  readonly #errors = new Map<string, number>()

  add({ latency, firstByte, stampToByte, stampToText }: Times): void {
    this.#latencies.push(latency / 1000)
    this.#firstBytes.push(firstByte / 1000)
    if (stampToByte !== undefined) this.#stampToByte.push(stampToByte / 1000)
    if (stampToText !== undefined) this.#stampToText.push(stampToText / 1000)
  }

  addError(kind: string): void {
    const isNew = !this.#errors.has(kind) && this.#errors.size >= MAX_KINDS
    const key = isNew ? 'others' : kind
    this.#errors.set(key, (this.#errors.get(key) ?? 0) + 1)
  }

  result(seconds: number): LoadResult {
    return {
      requests: this.#latencies.length,
      errors: Object.fromEntries(this.#errors),
      seconds,
      latencies: Float64Array.from(this.#latencies),
      firstBytes: Float64Array.from(this.#firstBytes),
      stampToByte: Float64Array.from(this.#stampToByte),
      stampToText: Float64Array.from(this.#stampToText),
    }
  }
}
