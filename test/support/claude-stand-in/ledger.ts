import type { CacheUsage } from './prompt-cache.ts'

export interface Billed {
  calls: number
  inputTokens: number
  cacheCreationInputTokens: number
  cacheReadInputTokens: number
  outputTokens: number
}

/** What Anthropic would charge: input when an answer begins, output as it is produced. */
export class Ledger {
  readonly #byKey = new Map<string, Billed>()

  addCall(key: string, input: CacheUsage): void {
    const billed = this.#of(key)
    billed.calls += 1
    billed.inputTokens += input.inputTokens
    billed.cacheCreationInputTokens += input.creation5mTokens + input.creation1hTokens
    billed.cacheReadInputTokens += input.readTokens
  }

  addOutput(key: string, tokens: number): void {
    this.#of(key).outputTokens += tokens
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
  }
}
