/**
 * Does the work of autovacuum and checkpointer for the embedded database, which has no background
 * processes: it refreshes statistics, so that plans made on empty tables are replaced; removes dead
 * rows; keeps the write-ahead log short; and takes copies (copies.ts).
 *
 * Every step is one statement on one table, and a round is short, so callers get the session soon.
 */

import { CompiledQuery, type DatabaseConnection } from 'kysely'
import type { Logger } from '../../log.ts'
import { type CopyReason, listCopies, takeCopy } from './durability/copies.ts'
import type { FlushingFs } from './durability/flushing-fs.ts'
import type { LogSpace } from './durability/log-space.ts'
import type { OneConnection } from './session.ts'

const ROUND_MS = 1000
/** Log since the last checkpoint: what a start after a crash has to replay at most. */
const CHECKPOINT_BYTES = 8 * 1024 ** 2
/** Log since the last check of which tables have changed: about a hundred sends. */
const LOOK_BYTES = 512 * 1024
/** How long one round may hold the session, unless a single step takes longer. */
const ROUND_LIMIT_MS = 25
const COPY_EVERY_MS = 3_600_000
/** Delay after the start of the first copy, also of one that is overdue from an earlier process. */
const COPY_AFTER_START_MS = 300_000

type Deps = {
  dataDir: string
  session: OneConnection
  files: FlushingFs
  /** No round runs while it is full. */
  space: LogSpace
  log: Pick<Logger, 'warn'>
}

type Change = { name: string; isBloated: boolean }

export class Housekeeping {
  readonly #deps: Deps
  readonly #stopping = new AbortController()
  readonly #startedAt = Date.now()
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> = Promise.resolve()
  #copy: Promise<void> | undefined
  #checkpointAt = 0
  #lookedAt = 0
  /** Logged bytes at the end of the last round. */
  #seenAt = 0
  /** Whether the last round ran out of time before it was done. */
  #isLeftOver = false
  #copiedAt = 0

  constructor(deps: Deps) {
    this.#deps = deps
    this.#plan()
  }

  /** Aborts a running copy. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await Promise.all([this.#round, this.#copy])
    clearTimeout(this.#timer)
  }

  /**
   * Resolves when the current state has been copied, or when that failed, which is only logged. The
   * copy holds the session only for a checkpoint.
   */
  keepCopy(reason: CopyReason): Promise<void> {
    const copy = (this.#copy ?? Promise.resolve())
      .then(() => this.#takeCopy(reason))
      .catch((err: unknown) => {
        if (!this.#stopping.signal.aborted) this.#deps.log.warn({ err }, 'no copy of the database')
      })
      .finally(() => {
        if (this.#copy === copy) this.#copy = undefined
      })
    this.#copy = copy
    return copy
  }

  #plan(): void {
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound().finally(() => this.#plan())
    }, ROUND_MS)
    this.#timer.unref()
  }

  async #runRound(): Promise<void> {
    try {
      if (this.#deps.space.isFull) return
      if (await this.#isCopyDue()) void this.keepCopy('hourly')
      const { loggedBytes } = this.#deps.files
      if (!this.#copy && loggedBytes - this.#checkpointAt >= CHECKPOINT_BYTES) {
        await this.#inSession((connection) => this.#checkpoint(connection))
      }
      const isIdle = loggedBytes === this.#seenAt
      const isDue = loggedBytes - this.#lookedAt >= (isIdle ? 1 : LOOK_BYTES)
      if (isDue || this.#isLeftOver) {
        await this.#inSession((connection) => this.#tendTables(connection, isIdle))
      }
      this.#seenAt = this.#deps.files.loggedBytes
    } catch (err) {
      this.#deps.log.warn({ err }, 'housekeeping of the database failed, will try again')
    }
  }

  async #inSession(work: (connection: DatabaseConnection) => Promise<void>): Promise<void> {
    const { session } = this.#deps
    const connection = await session.acquire()
    try {
      await work(connection)
    } finally {
      session.release()
    }
  }

  async #checkpoint(connection: DatabaseConnection): Promise<void> {
    this.#checkpointAt = this.#deps.files.loggedBytes
    await run(connection, 'checkpoint')
  }

  /** Starts with the tables that have changed most. */
  async #tendTables(connection: DatabaseConnection, isIdle: boolean): Promise<void> {
    const { files } = this.#deps
    const startedAt = performance.now()
    // A server's sessions report their changes from time to time; this one only when it is asked.
    await run(connection, 'select pg_stat_force_next_flush()')
    const rows = await run<Change>(connection, CHANGED_TABLES, [isIdle])
    let next: Change | undefined
    do {
      next = rows.shift()
      if (next) await run(connection, `${act(next)} ${next.name}`)
    } while (next && performance.now() - startedAt < ROUND_LIMIT_MS)
    this.#isLeftOver = rows.length > 0
    this.#lookedAt = files.loggedBytes
  }

  async #isCopyDue(): Promise<boolean> {
    if (this.#copy || this.#deps.files.loggedBytes === this.#copiedAt) return false
    const now = Date.now()
    if (now - this.#startedAt < COPY_AFTER_START_MS) return false
    const [newest] = await listCopies(this.#deps.dataDir)
    return !newest || now - newest.takenAt.getTime() >= COPY_EVERY_MS
  }

  async #takeCopy(reason: CopyReason): Promise<void> {
    const { dataDir, files, log } = this.#deps
    await this.#inSession((connection) => this.#checkpoint(connection))
    this.#copiedAt = files.loggedBytes
    const obstacle = await takeCopy(dataDir, reason, this.#stopping.signal)
    if (obstacle !== undefined) log.warn({ reason: obstacle }, 'no copy of the database')
  }
}

const act = ({ isBloated }: Change) => (isBloated ? 'vacuum (analyze)' : 'analyze')

/**
 * Autovacuum's thresholds: a fifth of the rows dead, or a tenth changed since the last analyze, and
 * a constant for small tables. Large tables, whose vacuum takes a second, wait until the database
 * is idle or until three times the threshold. `pg_toast` is vacuumed with its main table.
 */
const CHANGED_TABLES = `
  select name, bloat >= 1 as "isBloated"
  from (
    select
      format('%I.%I', schemaname, relname) as name,
      n_dead_tup / (50 + 0.2 * n_live_tup)::float8
        / case when $1::boolean or n_live_tup < 100000 then 1 else 3 end as bloat,
      n_mod_since_analyze / (100 + 0.1 * greatest(n_live_tup, 1000))::float8 as change
    from pg_stat_all_tables
    where schemaname <> 'pg_toast'
  ) as tables
  where greatest(bloat, change) >= 1
  order by greatest(bloat, change) desc`

async function run<R>(
  connection: DatabaseConnection,
  statement: string,
  parameters: unknown[] = [],
): Promise<R[]> {
  return (await connection.executeQuery<R>(CompiledQuery.raw(statement, parameters))).rows
}
