import type { Claude } from '../../claude/client.ts'
import { VERSION } from '../../version.ts'

type Deps = {
  claude: Pick<Claude, 'lastSeen'>
  database: {
    kind: 'embedded' | 'postgresql'
    /** Milliseconds for a round trip. */
    ping(): Promise<number>
    pendingMigrations(): Promise<string[]>
    /** Whether it has lately refused to be written to. */
    refusesWrites(): boolean
  }
  /** Writes something. */
  proveWrites(): Promise<void>
}

/** How long a check waits for the database before it calls it unreachable. */
const PING_TIMEOUT_MS = 3000
/** A proof that the database can be written to holds for so long, for everybody. */
const PROOF_MS = 1000
/** So long after it was sent a round trip that is under way also answers for those who ask then. */
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

  /** The gateway as a person or a monitor wants to see it. Never calls Anthropic. */
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

  /** From here on {@link isReady} says no: a load balancer is to send its requests elsewhere. */
  leave(): void {
    this.#isLeaving = true
  }

  get isLeaving(): boolean {
    return this.#isLeaving
  }

  /** Whether requests can be served now: the database can be written to and has this build's schema. */
  async isReady(): Promise<boolean> {
    if (this.#isLeaving) return false
    if ((await inTime(this.#ping())) === null || !(await this.#isWritable())) return false
    const pending = await this.#deps.database.pendingMigrations().catch(() => ['unknown'])
    return pending.length === 0
  }

  /** One write for all who ask within its time; none where a write was refused just now. */
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
    // That it failed says nothing of the next moment.
    void isProven.then((isGood) => {
      if (!isGood && this.#proof === proof) this.#proof = undefined
    })
    return isProven
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
  const latencyMs = await within(ping).catch(() => null)
  return latencyMs === null ? null : Math.round(latencyMs * 100) / 100
}

/** @throws Error when it takes too long. */
async function within<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), PING_TIMEOUT_MS)
  })
  return Promise.race([answer, timeout]).finally(() => clearTimeout(timer))
}
