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

export class HealthService {
  readonly #deps: Deps
  readonly #startedAt = performance.now()

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** The gateway as a person or a monitor wants to see it. Never calls Anthropic. */
  async check() {
    const latencyMs = await this.#ping()
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

  /** Whether requests can be served now: the database answers and has this build's schema. */
  async isReady(): Promise<boolean> {
    if ((await this.#ping()) === null) return false
    const pending = await this.#deps.database.pendingMigrations().catch(() => ['unknown'])
    return pending.length === 0
  }

  /** Milliseconds, or null when the database did not answer in time. */
  async #ping(): Promise<number | null> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, PING_TIMEOUT_MS, null)
    })
    const ping = this.#deps.database.ping().catch(() => null)
    const latencyMs = await Promise.race([ping, timeout])
    clearTimeout(timer)
    return latencyMs === null ? null : Math.round(latencyMs * 100) / 100
  }
}
