/**
 * What a PostgreSQL server's autovacuum and checkpointer do, for the embedded database, which has no
 * processes but the one session: statistics, so that plans made on empty tables are made again; dead
 * rows removed; the write-ahead log kept short; and copies taken (copies.ts).
 *
 * Every step is one statement on one table, and those who wait for the session come in between.
 */

import { CompiledQuery, type DatabaseConnection } from 'kysely'
import type { Logger } from '../../log.ts'
import { type CopyReason, listCopies, takeCopy } from './durability/copies.ts'
import type { FlushingFs } from './durability/flushing-fs.ts'
import type { LogSpace } from './durability/log-space.ts'
import type { OneConnection } from './session.ts'

const ROUND_MS = 1000
/** Written since the last checkpoint: what a start after a crash has to read again at most. */
const CHECKPOINT_BYTES = 8 * 1024 ** 2
/** Written since somebody last looked which tables have changed: about a hundred sends. */
const LOOK_BYTES = 512 * 1024
/** What one round may take of the session, unless a single step takes longer. */
const ROUND_LIMIT_MS = 25
const COPY_EVERY_MS = 3_600_000
/** For the first copy, and for one that an earlier process was too short-lived to take. */
const COPY_AFTER_START_MS = 300_000

type Deps = {
  dataDir: string
  session: OneConnection
  files: FlushingFs
  /** Nothing is done while it is full. */
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
  /** At the end of the last round. */
  #seenAt = 0
  /** Whether the last round had no time for all that there was to do. */
  #isLeftOver = false
  #copiedAt = 0

  constructor(deps: Deps) {
    this.#deps = deps
    this.#plan()
  }

  /** A copy under way is given up. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await Promise.all([this.#round, this.#copy])
    clearTimeout(this.#timer)
  }

  /**
   * Resolves when there is a copy of the database as it is now, or none for a reason that is logged:
   * nothing depends on a copy. The session is free meanwhile, but for a checkpoint.
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

  /** Those first that have changed most. */
  async #tendTables(connection: DatabaseConnection, isIdle: boolean): Promise<void> {
    const { files } = this.#deps
    const startedAt = performance.now()
    // Sessions of a server tell it now and then what they changed; this one only when it is asked.
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
 * As autovacuum reckons: a fifth of the rows dead, or a tenth changed since they were last counted,
 * of small tables some more. Large ones, whose vacuum takes a second, have time until nobody is at
 * work, or until it is three times as much. `pg_toast` is vacuumed with what it belongs to.
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
