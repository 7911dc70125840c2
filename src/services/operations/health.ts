import type { Claude } from '../../claude/client.ts'
import { VERSION } from '../../version.ts'

type Deps = {
  claude: Pick<Claude, 'lastSeen'>
  database: {
    kind: 'embedded' | 'postgresql'
    /** @returns the milliseconds of a round trip. */
    ping(): Promise<number>
    pendingMigrations(): Promise<string[]>
    /** Whether it recently refused a write. */
    refusesWrites(): boolean
  }
  /** Makes a test write; rejects when it fails. */
  proveWrites(): Promise<void>
}

/** After this time without an answer a check calls the database unreachable. */
const PING_TIMEOUT_MS = 3000
/** How long a successful test write is shared by all checks. */
const PROOF_MS = 1000
/** Single-flight: concurrent callers share one ping for this long after it was sent. */
const PING_SHARED_MS = 50

export class HealthService {
  readonly #deps: Deps
  readonly #startedAt = performance.now()
  #proof: { startedAt: number; isProven: Promise<boolean> } | undefined
  #isLeaving = false
  #running: { startedAt: number; latencyMs: Promise<number | null> } | undefined

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** The health report for people and monitors. Never calls Anthropic. */
  async check() {
    const [latencyMs, isWritable] = await Promise.all([
      inTime(this.#sharedPing()),
      this.#isWritable(),
    ])
    const upstream = this.#deps.claude.lastSeen()
    const isReachable = latencyMs !== null
    return {
      status: isReachable && isWritable ? ('healthy' as const) : ('unhealthy' as const),
      version: VERSION,
      uptimeSeconds: Math.floor((performance.now() - this.#startedAt) / 1000),
      database: { kind: this.#deps.database.kind, reachable: isReachable, latencyMs },
      upstream: { status: upstream.status, lastSeenAt: upstream.at },
    }
  }

  /** From now on {@link isReady} is false, so that load balancers send requests elsewhere. */
  leave(): void {
    this.#isLeaving = true
  }

  get isLeaving(): boolean {
    return this.#isLeaving
  }

  /** Whether requests can be served: the database is writable and has this build's schema. */
  async isReady(): Promise<boolean> {
    if (this.#isLeaving) return false
    if ((await inTime(this.#ping())) === null || !(await this.#isWritable())) return false
    const pending = await this.#deps.database.pendingMigrations().catch(() => ['unknown'])
    return pending.length === 0
  }

  /** One test write per PROOF_MS; none after a write was just refused. */
  async #isWritable(): Promise<boolean> {
    if (this.#deps.database.refusesWrites()) return false
    const startedAt = performance.now()
    if (this.#proof && startedAt - this.#proof.startedAt < PROOF_MS) return this.#proof.isProven
    const isProven = within(this.#deps.proveWrites()).then(
      () => true,
      () => false,
    )
    const proof = { startedAt, isProven }
    this.#proof = proof
    // A failure is not cached: the next check tries again.
    void isProven.then((isGood) => {
      if (!isGood && this.#proof === proof) this.#proof = undefined
    })
    return isProven
  }

  /** Milliseconds, or null when the database could not be reached. */
  #ping(): Promise<number | null> {
    return this.#deps.database.ping().catch(() => null)
  }

  /** Single-flight for 50 ms, so that a ping that hangs does not hold up later checks. */
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

/** Null also on timeout. */
async function inTime(ping: Promise<number | null>): Promise<number | null> {
  const latencyMs = await within(ping).catch(() => null)
  return latencyMs === null ? null : Math.round(latencyMs * 100) / 100
}

/** @throws Error on timeout. */
async function within<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), PING_TIMEOUT_MS)
  })
  return Promise.race([answer, timeout]).finally(() => clearTimeout(timer))
}
