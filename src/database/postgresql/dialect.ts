/** Kysely on a PostgreSQL server: the pool, its limits, and the retryable errors. */

import {
  type PostgresCursor,
  PostgresDialect,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely'
import { type ClientBase, Pool, type PoolClient, types } from 'pg'
import { createSemaphore } from '../../concurrency/semaphore.ts'
import { endsConnection, isConflict, isReadOnly, toDatabaseError, unavailable } from '../errors.ts'
import { DISCARD_PLANS, PlanAge, preparedName } from '../statements/prepared.ts'
import { applySettings, type OwnSettings } from '../statements/session-settings.ts'
import { SharedSession, stepOf } from './shared-sessions.ts'

/** Run on a connection, it lifts every time limit until the connection is released. */
export const LIFT_LIMITS =
  'set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0'

/** Run in a transaction, it lifts the time limit of its statements; `lock_timeout` stays. */
export const LIFT_STATEMENT_LIMIT = 'set local statement_timeout = 0'

/** The client's timeout is this much longer: it fires only when the server is unreachable. */
const CLIENT_GRACE_MS = 2_000

export type PostgresqlOptions = {
  url: string
  /** Most connections. */
  poolSize: number
  /** The server cancels a statement after this; 0 is never. */
  statementTimeoutMs: number
  /** How long to wait in the queue for a connection, while others get theirs. */
  acquireTimeoutMs: number
  /** How long to wait for a new connection, and in a queue that makes no progress. */
  connectTimeoutMs: number
  /** Settings of the gateway's own. */
  own: OwnSettings
  /** Behind a pooler in transaction mode. */
  sharesSessions: boolean
  /** Called when a connection breaks while no query runs on it. */
  onError: (error: Error) => void
}

export function postgresqlDialect(options: PostgresqlOptions): PostgresDialect {
  const servers = new Servers()
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: options.connectTimeoutMs,
    keepAlive: true,
    application_name: 'claude-api-gateway',
    types: { getTypeParser },
    onConnect: (client) => {
      servers.connected(client)
      if (options.sharesSessions) return
      return applySettings(client, options, options.connectTimeoutMs)
    },
  })
  // A connection that breaks emits 'error' whether it is idle or in a transaction between two
  // queries, and without a listener either would end the process.
  pool.on('connect', (client) => client.on('error', options.onError))
  pool.on('error', () => {})
  // The pool's own queue counts the time in it towards the limit for a new connection.
  const turns = createSemaphore({
    places: options.poolSize,
    waitMs: options.acquireTimeoutMs,
    stallMs: options.connectTimeoutMs,
  })
  const clientLimitMs = options.statementTimeoutMs && options.statementTimeoutMs + CLIENT_GRACE_MS
  return new PostgresDialect({
    pool: {
      connect: async () => {
        await turns.acquire()
        const client = await connect(pool, servers).catch((error) => {
          turns.release()
          throw unavailable(error)
        })
        const shared = options.sharesSessions
          ? new SharedSession(options.statementTimeoutMs, options.own)
          : undefined
        const onRelease = turns.release
        return new LimitedClient(client, { limitMs: clientLimitMs, servers, shared, onRelease })
      },
      end: () => pool.end(),
    },
  })
}

/** Dates, intervals and arrays of them as text, the same as from the embedded database. */
const AS_TEXT = new Map<number, number>([
  [types.builtins.DATE, types.builtins.TEXT],
  [types.builtins.INTERVAL, types.builtins.TEXT],
  [1182, 1009], // date[] like text[]
  [1187, 1009], // interval[] like text[]
])

function getTypeParser(oid: number, format?: 'text' | 'binary') {
  return types.getTypeParser(AS_TEXT.get(oid) ?? oid, format)
}

const planAges = new WeakMap<ClientBase, PlanAge>()

function planAge(client: ClientBase): PlanAge {
  const age = planAges.get(client) ?? new PlanAge()
  planAges.set(client, age)
  return age
}

/** Takes a connection that is not outdated; closes those that are. */
async function connect(pool: Pool, servers: Servers): Promise<PoolClient> {
  for (;;) {
    const client = await pool.connect()
    if (!servers.isOutdated(client)) return client
    client.release(true)
  }
}

/**
 * Knows which connections are older than the last one found to be read-only. Behind an address that
 * moves with the primary they lead to what is now a standby, and would forever.
 */
class Servers {
  readonly #connectedIn = new WeakMap<ClientBase, number>()
  #generation = 0

  connected(client: ClientBase): void {
    this.#connectedIn.set(client, this.#generation)
  }

  isOutdated(client: ClientBase): boolean {
    return this.#connectedIn.get(client) !== this.#generation
  }

  /** Outdates all connections of the same generation; later ones stay. */
  foundReadOnly(client: ClientBase): void {
    if (!this.isOutdated(client)) this.#generation += 1
  }
}

/** Attempts of a single statement outside a transaction that fails by a conflict. */
const CONFLICT_TRIES = 5
const CONFLICT_PAUSE_MS = 20

type ClientOptions = {
  limitMs: number
  servers: Servers
  shared: SharedSession | undefined
  onRelease: () => void
}

class LimitedClient implements PostgresPoolClient {
  readonly #client: PoolClient
  readonly #servers: Servers
  readonly #shared: SharedSession | undefined
  readonly #onRelease: () => void
  #limitMs: number
  /** Its session differs from a fresh one, still runs an abandoned statement, or is broken. */
  #spoiled = false

  constructor(client: PoolClient, { limitMs, servers, shared, onRelease }: ClientOptions) {
    this.#client = client
    this.#servers = servers
    this.#shared = shared
    this.#onRelease = onRelease
    this.#limitMs = limitMs
  }

  query<R>(sql: string, parameters: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query<R>(sql: string | PostgresCursor<R>, parameters: ReadonlyArray<unknown> = []): unknown {
    if (typeof sql !== 'string') throw new Error('Page through results instead of streaming them.')
    if (sql === LIFT_LIMITS || sql === LIFT_STATEMENT_LIMIT) this.#limitMs = 0
    if (sql === LIFT_LIMITS && this.#shared) {
      this.#shared.lift()
      return Promise.resolve(NOTHING)
    }
    if (sql === LIFT_LIMITS) this.#spoiled = true
    return this.#run<R>(sql, parameters)
  }

  release(): void {
    this.#client.release(this.#spoiled || this.#servers.isOutdated(this.#client))
    this.#onRelease()
  }

  /** Retries conflicts outside a transaction only: there they roll back the whole statement. */
  async #run<R>(text: string, values: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>> {
    const standsAlone = this.#client.getTransactionStatus() === 'I'
    for (let tries = 1; ; tries++) {
      try {
        return await this.#runStep<R>(text, values)
      } catch (error) {
        const mayRepeat = standsAlone && tries < CONFLICT_TRIES && isConflict(error)
        if (!mayRepeat) throw this.#noted(error)
        await pause(Math.random() * tries * CONFLICT_PAUSE_MS)
      }
    }
  }

  /** In a shared session, sets the session settings for each transaction. */
  async #runStep<R>(text: string, values: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>> {
    if (!this.#shared) return this.#runOnce<R>(text, values)
    const step = stepOf(text, this.#client.getTransactionStatus() !== 'I')
    if (step === 'stands outside') return this.#runOnce<R>(text, values)
    if (step === 'begins') return this.#runOnce<R>(this.#shared.begin(text), values)
    try {
      await this.#runOnce(this.#shared.begin(), [])
      const result = await this.#runOnce<R>(text, values)
      await this.#runOnce('commit', [])
      return result
    } catch (error) {
      await this.#runOnce('rollback', []).catch(() => {
        this.#spoiled = true
      })
      throw error
    }
  }

  async #runOnce<R>(text: string, values: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>> {
    const limit = this.#limitMs ? { query_timeout: this.#limitMs } : {}
    const name = this.#shared ? undefined : preparedName(text)
    const prepared = name === undefined ? {} : { name }
    if (name !== undefined && planAge(this.#client).countRun()) {
      await this.#client.query({ text: DISCARD_PLANS, ...limit })
    }
    const answer = await this.#client.query({ text, values: [...values], ...limit, ...prepared })
    // Several statements in one string give several results; like PGlite's, the last one counts.
    const results = [answer].flat() as PostgresQueryResult<R>[]
    return results.at(-1) as PostgresQueryResult<R>
  }

  #noted(error: unknown): unknown {
    this.#spoiled ||= endsConnection(error)
    if (isReadOnly(error)) this.#servers.foundReadOnly(this.#client)
    return toDatabaseError(error)
  }
}

const NOTHING = { command: 'SET', rowCount: null, rows: [] }

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
