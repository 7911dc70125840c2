import type { Claude } from '../claude/client.ts'
import { VERSION } from '../version.ts'

type Deps = {
  claude: Pick<Claude, 'lastSeen'>
  database: {
    kind: 'embedded' | 'postgresql'
    /** Milliseconds for a round trip. */
    ping(): Promise<number>
    pendingMigrations(): Promise<string[]>
  }
}

/** How long a check waits for the database before it calls it unreachable. */
const PING_TIMEOUT_MS = 3000
/** So long after it was sent a round trip that is under way also answers for those who ask then. */
const PING_SHARED_MS = 50

export class HealthService {
  readonly #deps: Deps
  readonly #startedAt = performance.now()
  #isLeaving = false
  #running: { startedAt: number; latencyMs: Promise<number | null> } | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** The gateway as a person or a monitor wants to see it. Never calls Anthropic. */
  async check() {
    const latencyMs = await inTime(this.#sharedPing())
    const upstream = this.#deps.claude.lastSeen()
    const healthy = latencyMs !== null
    return {
      status: healthy ? ('healthy' as const) : ('unhealthy' as const),
      version: VERSION,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
      database: { kind: this.#deps.database.kind, reachable: healthy, latencyMs },
      upstream: { status: upstream.status, lastSeenAt: upstream.at },
    }
  }

  /** From here on {@link isReady} says no: a load balancer is to send its requests elsewhere. */
  leave(): void {
    this.#isLeaving = true
  }

  /** Whether requests can be served now: the database answers and has this build's schema. */
  async isReady(): Promise<boolean> {
    if (this.#isLeaving) return false
    if ((await inTime(this.#ping())) === null) return false
    const pending = await this.#deps.database.pendingMigrations().catch(() => ['unknown'])
    return pending.length === 0
  }

  /** Milliseconds, or null when the database could not be reached. */
  #ping(): Promise<number | null> {
    return this.#deps.database.ping().catch(() => null)
  }

  /** Of many who ask at the same moment one goes; a round trip that hangs is nobody else's. */
  #sharedPing(): Promise<number | null> {
    const startedAt = performance.now()
    if (this.#running && startedAt - this.#running.startedAt < PING_SHARED_MS) {
      return this.#running.latencyMs
    }
    const running = { startedAt, latencyMs: this.#ping() }
    this.#running = running
    void running.latencyMs.then(() => {
      if (this.#running === running) this.#running = undefined
    })
    return running.latencyMs
  }
}

/** Null, too, when there is no answer in time. */
async function inTime(ping: Promise<number | null>): Promise<number | null> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, PING_TIMEOUT_MS, null)
  })
  const latencyMs = await Promise.race([ping, timeout])
  clearTimeout(timer)
  return latencyMs === null ? null : Math.round(latencyMs * 100) / 100
}
