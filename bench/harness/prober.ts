/** How soon a server answers a request that does no work, while it is busy with others. */

import { Pool } from 'undici'

const LIMIT_MS = 10_000

/** Asks at a steady pace, whether or not the last one is answered, until it is stopped. */
export class Prober {
  readonly #pool: Pool
  readonly #path: string
  readonly #latencies: number[] = []
  readonly #timer: NodeJS.Timeout
  #underWay: Promise<void>[] = []

  constructor(origin: string, { path = '/livez', everyMs = 10 } = {}) {
    this.#pool = new Pool(origin, { connections: 50, headersTimeout: LIMIT_MS })
    this.#path = path
    this.#timer = setInterval(() => this.#underWay.push(this.#ask()), everyMs)
  }

  /** @returns milliseconds each took; those that failed took as long as was waited at most. */
  async stop(): Promise<number[]> {
    clearInterval(this.#timer)
    await Promise.all(this.#underWay)
    await this.#pool.close()
    return this.#latencies
  }

  async #ask(): Promise<void> {
    const startedAt = performance.now()
    try {
      const { statusCode, body } = await this.#pool.request({ path: this.#path, method: 'GET' })
      await body.dump()
      this.#latencies.push(statusCode === 200 ? performance.now() - startedAt : LIMIT_MS)
    } catch {
      this.#latencies.push(LIMIT_MS)
    }
  }
}
