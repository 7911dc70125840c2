/** Opens the gateway's database: PostgreSQL by its URL, or the embedded one in the data folder. */

import { CamelCasePlugin, type Dialect, Kysely, sql } from 'kysely'
import type { Logger } from '../log.ts'
import { explainConnectError } from './connect-errors.ts'
import { toDriverUrl } from './connection-url.ts'
import type { CopyReason } from './copies.ts'
import { claimDataDir } from './data-dir.ts'
import { openPglite } from './embedded.ts'
import { refusesWrites } from './errors.ts'
import { refuseUnfit } from './fitness.ts'
import { Housekeeping } from './housekeeping.ts'
import type { Durability } from './log-flush.ts'
import { type Listener, listenTo } from './notifications.ts'
import { oneConnection } from './one-connection.ts'
import { pgliteDialect } from './pglite-dialect.ts'
import { refuseSharedSessions } from './pooler.ts'
import { postgresqlDialect } from './postgresql.ts'
import type { Recovery } from './recovery.ts'
import type { Schema } from './schema.ts'
import { noteShared } from './shared-sessions.ts'

export type DatabaseOptions = {
  /** Of a PostgreSQL server, 14 or newer. Left out: the embedded database. */
  url?: string | undefined
  /** Folder of the embedded database; not touched when there is a URL. */
  dataDir: string
  /** When the embedded database acknowledges a commit; `full` unless given. */
  durability?: Durability | undefined
  /** Connections to PostgreSQL at most; 10 unless given. The embedded database has one. */
  poolSize?: number | undefined
  /** What hands out the sessions of the server: `session` unless given, as a server itself does. */
  pooler?: 'session' | 'transaction' | undefined
  /** PostgreSQL cancels a statement after this; 30 000 unless given, 0 is never. */
  statementTimeoutMs?: number | undefined
  /** How long a query waits in turn for a connection that others hold; 15 000 unless given. */
  acquireTimeoutMs?: number | undefined
  /**
   * How long PostgreSQL may take for a new connection, and how long nobody's turn may come before
   * all who wait give up; 5 000 unless given.
   */
  connectTimeoutMs?: number | undefined
  /** Told why the embedded database has ended by itself: only another process can open it again. */
  onEnd?: ((error: unknown) => void) | undefined
  /** Told of what the embedded database cannot do for its own good. */
  log?: Pick<Logger, 'warn'> | undefined
  /** Told of PostgreSQL connections that broke while nobody was waiting on them. */
  onError?: ((error: Error) => void) | undefined
  /** Told what whoever wrote DATABASE_URL should know. */
  warn?: ((message: string) => void) | undefined
}

export type DatabaseKind = 'postgresql' | 'embedded'

export type Database = {
  db: Kysely<Schema>
  kind: DatabaseKind
  /** Milliseconds one round trip takes. */
  ping(): Promise<number>
  /** Whether a statement was refused in the last ten seconds since nothing can be written. */
  refusesWrites(): boolean
  /**
   * Hears what other processes send to a channel with NOTIFY, though not reliably: see listenTo.
   * The embedded database has no other processes; through a pooler in transaction mode nothing is heard.
   */
  listen(channel: string, onPayload: (payload: string) => void): Listener
  /** What the embedded database lost at this start, as it did not open; undefined for nothing. */
  recovery: Recovery | undefined
  /** A copy of the embedded database to go back to; a PostgreSQL server has backups of its own. */
  keepCopy(reason: CopyReason): Promise<void>
  /** Waits for the transactions that are running. May be called again. */
  close(): Promise<void>
}

/** A small write may pass where a large one was refused. */
const REFUSAL_MS = 10_000

/**
 * Does not migrate. The embedded database takes the data folder for itself (see claimDataDir).
 *
 * @throws AppError database_unavailable when the server cannot be reached or does not fit, retryable when
 * that may pass by itself, or when another process uses the data folder.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { acquireTimeoutMs = 15_000 } = options
  if (options.url === undefined) return openEmbedded(options)
  const onError = options.onError ?? (() => {})
  const connectTimeoutMs = options.connectTimeoutMs ?? 5_000
  const sharesSessions = options.pooler === 'transaction'
  const url = await connectableUrl(options.url, options.warn ?? (() => {}), connectTimeoutMs)
  if (!sharesSessions) await refuseSharedSessions(url, connectTimeoutMs).catch(explain(url))
  const listen: Database['listen'] = (channel, onPayload) =>
    listenTo({ url, channel, onPayload, onError: (error) => onError(error as Error) })
  const dialect = postgresqlDialect({
    url,
    // One migrates while another keeps the lock.
    poolSize: Math.max(options.poolSize ?? 10, sharesSessions ? 2 : 1),
    sharesSessions,
    statementTimeoutMs: options.statementTimeoutMs ?? 30_000,
    acquireTimeoutMs,
    connectTimeoutMs,
    onError,
  })
  // Nobody can listen in a session that is lent for a transaction at a time.
  const hear = sharesSessions ? NOBODY_TO_HEAR : listen
  const database = await openPostgresql(hear, dialect).catch(explain(url))
  if (sharesSessions) noteShared(database.db)
  return database
}

/** @throws AppError database_unavailable: retryable when the server is only away. */
async function connectableUrl(
  given: string,
  warn: (message: string) => void,
  connectTimeoutMs: number,
): Promise<string> {
  try {
    return await toDriverUrl(given, warn, connectTimeoutMs)
  } catch (error) {
    throw explainConnectError(error, given)
  }
}

const explain = (url: string) => (error: unknown) => {
  throw explainConnectError(error, url)
}

async function openPostgresql(listen: Database['listen'], dialect: Dialect): Promise<Database> {
  const database = assemble('postgresql', dialect, listen, async () => {})
  try {
    await refuseUnfit(database.db)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

async function openEmbedded({
  dataDir,
  durability = 'full',
  log = { warn: () => {} },
  onEnd,
  acquireTimeoutMs = 15_000,
}: DatabaseOptions): Promise<Database> {
  const claim = await claimDataDir(dataDir)
  try {
    const { recovery, log: flush, ...opened } = await openPglite(dataDir, durability)
    const session = oneConnection(opened.pglite, acquireTimeoutMs, { space: opened.space, onEnd })
    const housekeeping = new Housekeeping({ dataDir, session, ...opened, log })
    const dialect = pgliteDialect(opened.pglite, session, () => flush.settled())
    const database = assemble('embedded', dialect, NOBODY_TO_HEAR, async () => {
      // Kysely closes a driver only once it was used.
      const { pglite } = opened
      if (!pglite.closed && !session.hasCrashed) await pglite.close()
      await flush.close()
      await claim.release()
    })
    return {
      ...database,
      recovery,
      keepCopy: (reason) => housekeeping.keepCopy(reason),
      close: () => housekeeping.stop().then(database.close),
    }
  } catch (error) {
    await claim.release()
    throw error
  }
}

const NOBODY_TO_HEAR: Database['listen'] = () => ({ close: async () => {} })

function assemble(
  kind: DatabaseKind,
  dialect: Dialect,
  listen: Database['listen'],
  after: () => Promise<void>,
): Database {
  let refusedAt = Number.NEGATIVE_INFINITY
  const db = new Kysely<Schema>({
    dialect,
    log(event) {
      if (event.level === 'error' && refusesWrites(event.error)) refusedAt = performance.now()
    },
    plugins: [
      new CamelCasePlugin({ maintainNestedObjectKeys: true, underscoreBeforeDigits: true }),
    ],
  })
  let closing: Promise<void> | undefined
  return {
    db,
    kind,
    listen,
    recovery: undefined,
    keepCopy: async () => {},
    async ping() {
      const startedAt = performance.now()
      await sql`select 1`.execute(db)
      return performance.now() - startedAt
    },
    refusesWrites: () => performance.now() - refusedAt < REFUSAL_MS,
    close() {
      closing ??= db.destroy().then(after)
      return closing
    },
  }
}
