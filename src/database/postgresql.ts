/** Kysely on a PostgreSQL server: the pool, its limits, and the errors that mean "try later". */

import {
  type PostgresCursor,
  PostgresDialect,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely'
import { DatabaseError, Pool, type PoolClient, types } from 'pg'
import { AppError } from '../errors.ts'
import { preparedName } from './prepared.ts'
import { takingTurns } from './turns.ts'

/** Run on a connection, it lifts every time limit until the connection is given back. */
export const LIFT_LIMITS = 'set statement_timeout = 0'

/** How much later than the server the client gives up: only when the server cannot be reached. */
const CLIENT_GRACE_MS = 2_000

export type PostgresqlOptions = {
  url: string
  /** Connections at most. */
  poolSize: number
  /** The server cancels a statement after this; 0 is never. */
  statementTimeoutMs: number
  /** How long to wait in turn for a connection, while others get theirs. */
  acquireTimeoutMs: number
  /** How long to wait for a new connection, and in a queue that stands still. */
  connectTimeoutMs: number
  /** Told of connections that broke while nobody was using them. */
  onError: (error: Error) => void
}

/**
 * Days and months mean the same on every server, and in the embedded database. And a prepared
 * statement keeps its plan: left to itself PostgreSQL makes a new one each time, for a guess at how
 * much the values help, which for lookups by key is nothing.
 */
const SESSION = '-c TimeZone=UTC -c plan_cache_mode=force_generic_plan'

export function postgresqlDialect(options: PostgresqlOptions): PostgresDialect {
  const pool = new Pool({
    connectionString: options.url,
    max: options.poolSize,
    statement_timeout: options.statementTimeoutMs,
    connectionTimeoutMillis: options.connectTimeoutMs,
    keepAlive: true,
    application_name: 'claude-api-gateway',
    options: SESSION,
    types: { getTypeParser },
  })
  // A connection that breaks emits 'error' whether it is idle or in a transaction between two
  // queries, and without a listener either would end the process.
  pool.on('connect', (client) => client.on('error', options.onError))
  pool.on('error', () => {})
  // The pool's own queue would let its limit for a new connection run out in a crowd.
  const turns = takingTurns({
    places: options.poolSize,
    waitMs: options.acquireTimeoutMs,
    stallMs: options.connectTimeoutMs,
  })
  const clientLimitMs = options.statementTimeoutMs && options.statementTimeoutMs + CLIENT_GRACE_MS
  return new PostgresDialect({
    pool: {
      connect: async () => {
        await turns.take()
        const client = await connect(pool).catch((error) => {
          turns.giveBack()
          throw error
        })
        return new LimitedClient(client, clientLimitMs, turns.giveBack)
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

async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw unavailable(error)
  }
}

class LimitedClient implements PostgresPoolClient {
  readonly #client: PoolClient
  readonly #onRelease: () => void
  #limitMs: number
  /** Its session differs from a fresh one, or still runs an abandoned statement. */
  #spoiled = false

  constructor(client: PoolClient, limitMs: number, onRelease: () => void) {
    this.#client = client
    this.#onRelease = onRelease
    this.#limitMs = limitMs
  }

  query<R>(sql: string, parameters: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query<R>(sql: string | PostgresCursor<R>, parameters: ReadonlyArray<unknown> = []): unknown {
    if (typeof sql !== 'string') throw new Error('Page through results instead of streaming them.')
    if (sql === LIFT_LIMITS) {
      this.#limitMs = 0
      this.#spoiled = true
    }
    return this.#run<R>(sql, parameters)
  }

  release(): void {
    this.#client.release(this.#spoiled)
    this.#onRelease()
  }

  async #run<R>(text: string, values: ReadonlyArray<unknown>): Promise<PostgresQueryResult<R>> {
    const limit = this.#limitMs ? { query_timeout: this.#limitMs } : {}
    const name = preparedName(text)
    const prepared = name === undefined ? {} : { name }
    try {
      const answer = await this.#client.query({ text, values: [...values], ...limit, ...prepared })
      // Several statements in one string give several results; like PGlite's, the last one counts.
      const results = [answer].flat() as PostgresQueryResult<R>[]
      return results.at(-1) as PostgresQueryResult<R>
    } catch (error) {
      if (!meansUnavailable(error)) throw error
      this.#spoiled ||= !(error instanceof DatabaseError)
      throw unavailable(error)
    }
  }
}

/**
 * Connection exceptions, too few resources, shutdown, and a cancelled statement (PostgreSQL
 * documentation, Appendix A: classes 08, 53 and 57), or the driver's own words for a lost server.
 */
function meansUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(08|53|57)/.test(error.code ?? '')
  const { code, message } = error as NodeJS.ErrnoException
  return /^E[A-Z]+$/.test(code ?? '') || /timeout|terminated|not queryable|closed/i.test(message)
}

function unavailable(cause: unknown): AppError {
  const { code } = cause as NodeJS.ErrnoException
  const why = code ? ` (${code})` : ''
  return new AppError(
    'database_unavailable',
    `The database is not available${why}. Try again shortly.`,
    { cause },
  )
}
