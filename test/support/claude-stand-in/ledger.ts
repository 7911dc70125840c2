import type { Tariff } from './price-book.ts'
import type { CacheUsage } from './prompt-cache.ts'

export interface Billed {
  calls: number
  inputTokens: number
  cacheCreationInputTokens: number
  cacheReadInputTokens: number
  outputTokens: number
  /** At the stand-in's own prices. */
  nanoUsd: number
}

/** What Anthropic would charge: input when an answer begins, output as it is produced. */
export class Ledger {
  readonly #byKey = new Map<string, Billed>()

  /** @returns the call's own bill, to which its output is added. */
  addCall(key: string, input: CacheUsage, tariff: Tariff): Billed {
    const call = {
      calls: 1,
      inputTokens: input.inputTokens,
      cacheCreationInputTokens: input.creation5mTokens + input.creation1hTokens,
      cacheReadInputTokens: input.readTokens,
      outputTokens: 0,
      nanoUsd: tariff.input(input),
    }
    const billed = this.#of(key)
    for (const field of Object.keys(call) as (keyof Billed)[]) billed[field] += call[field]
    return call
  }

  addOutput(key: string, call: Billed, tokens: number, tariff: Tariff): void {
    for (const bill of [this.#of(key), call]) {
      bill.outputTokens += tokens
      bill.nanoUsd += tariff.output(tokens)
    }
  }

  /** The sum over one key, or over all. */
  billed(key?: string): Billed {
    const sum = nothing()
    for (const [owner, billed] of this.#byKey) {
      if (key !== undefined && owner !== key) continue
      for (const field of Object.keys(sum) as (keyof Billed)[]) sum[field] += billed[field]
    }
    return sum
  }

  clear(): void {
    this.#byKey.clear()
  }

  #of(key: string): Billed {
    const found = this.#byKey.get(key) ?? nothing()
    this.#byKey.set(key, found)
    return found
  }
}

function nothing(): Billed {
  return {
    calls: 0,
    inputTokens: 0,
    cacheCreationInputTokens: 0,
    cacheReadInputTokens: 0,
    outputTokens: 0,
    nanoUsd: 0,
  }
}
