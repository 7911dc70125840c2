/** Opens the gateway's database: PostgreSQL by its URL, or the embedded one in the data folder. */

import { CamelCasePlugin, type Dialect, Kysely, sql } from 'kysely'
import type { Logger } from '../log.ts'
import { pgliteDialect } from './embedded/dialect.ts'
import type { CopyReason } from './embedded/durability/copies.ts'
import type { Durability } from './embedded/durability/log-flush.ts'
import { blameMachine } from './embedded/durability/machine-faults.ts'
import type { Recovery } from './embedded/durability/recovery.ts'
import { claimDataDir } from './embedded/folder-lock.ts'
import { Housekeeping } from './embedded/housekeeping.ts'
import { openPglite } from './embedded/open.ts'
import { oneConnection } from './embedded/session.ts'
import { refusesWrites } from './errors.ts'
import { explainConnectError } from './postgresql/connect-errors.ts'
import { toDriverUrl } from './postgresql/connection-url.ts'
import { postgresqlDialect } from './postgresql/dialect.ts'
import { refuseUnfit } from './postgresql/fitness.ts'
import { type Listener, listenTo } from './postgresql/listen.ts'
import { refuseSharedSessions } from './postgresql/pooler.ts'
import { noteShared } from './postgresql/shared-sessions.ts'
import type { Schema } from './schema.ts'
import { type OwnSettings, setSession } from './statements/session-settings.ts'

export type DatabaseOptions = {
  /** Of a PostgreSQL server, 14 or newer. Without it, the embedded database is opened. */
  url?: string | undefined
  /** Folder of the embedded database; not touched when there is a URL. */
  dataDir: string
  /** When the embedded database acknowledges a commit; `full` unless given. */
  durability?: Durability | undefined
  /** Most connections to PostgreSQL; 10 unless given. The embedded database has one. */
  poolSize?: number | undefined
  /** Pool mode of a pooler in front of the server; `session` unless given, as without a pooler. */
  pooler?: 'session' | 'transaction' | undefined
  /** Whether conversations may be shared; true unless given. False: no grant is in force. */
  sharing?: boolean | undefined
  /** PostgreSQL cancels a statement after this; 30 000 unless given, 0 is never. */
  statementTimeoutMs?: number | undefined
  /** How long a query waits in the queue for a connection; 15 000 unless given. */
  acquireTimeoutMs?: number | undefined
  /**
   * How long PostgreSQL may take for a new connection, and how long the queue may make no progress
   * before all waiters give up; 5 000 unless given.
   */
  connectTimeoutMs?: number | undefined
  /** Called with the cause when the embedded database crashes: only a new process can reopen it. */
  onEnd?: ((error: unknown) => void) | undefined
  /** Gets the warnings of the embedded database's housekeeping. */
  log?: Pick<Logger, 'warn'> | undefined
  /** Called when a PostgreSQL connection breaks while no query runs on it. */
  onError?: ((error: Error) => void) | undefined
  /** Called with warnings about DATABASE_URL, for the operator. */
  warn?: ((message: string) => void) | undefined
}

export type DatabaseKind = 'postgresql' | 'embedded'

export type Database = {
  db: Kysely<Schema>
  kind: DatabaseKind
  /** Milliseconds one round trip takes. */
  ping(): Promise<number>
  /** Whether the database refused a write in the last ten seconds. */
  refusesWrites(): boolean
  /**
   * Receives what other processes send to a channel with NOTIFY, though not reliably: see listenTo.
   * Receives nothing with the embedded database or through a pooler in transaction mode.
   */
  listen(channel: string, onPayload: (payload: string) => void): Listener
  /** The copy that the embedded database went back to at this start; undefined when it opened. */
  recovery: Recovery | undefined
  /** Takes a copy of the embedded database to go back to; PostgreSQL has its own backups. */
  keepCopy(reason: CopyReason): Promise<void>
  /** Waits for the transactions that are running. May be called again. */
  close(): Promise<void>
}

/** Not cleared by a successful write: a small one may succeed where a large one was refused. */
const REFUSAL_MS = 10_000

/**
 * Does not migrate. The embedded database claims the data folder for itself (see claimDataDir).
 *
 * @throws AppError database_unavailable when the server is unreachable or unfit (retryable when it
 *   may pass by itself), or when the data folder is used by another process or cannot be written.
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { acquireTimeoutMs = 15_000 } = options
  if (options.url === undefined) return openEmbedded(options).catch(blameMachine)
  const onError = options.onError ?? (() => {})
  const connectTimeoutMs = options.connectTimeoutMs ?? 5_000
  const sharesSessions = options.pooler === 'transaction'
  const url = await connectableUrl(options.url, options.warn ?? (() => {}), connectTimeoutMs)
  if (!sharesSessions) await refuseSharedSessions(url, connectTimeoutMs).catch(explain(url))
  const listen: Database['listen'] = (channel, onPayload) =>
    listenTo({ url, channel, onPayload, onError: (error) => onError(error as Error) })
  const dialect = postgresqlDialect({
    url,
    // One connection migrates while another holds the lock.
    poolSize: Math.max(options.poolSize ?? 10, sharesSessions ? 2 : 1),
    sharesSessions,
    statementTimeoutMs: options.statementTimeoutMs ?? 30_000,
    acquireTimeoutMs,
    connectTimeoutMs,
    own: ownSettings(options),
    onError,
  })
  // LISTEN needs its own session, which a pooler in transaction mode does not give.
  const hear = sharesSessions ? NOBODY_TO_HEAR : listen
  const database = await openPostgresql(hear, dialect).catch(explain(url))
  if (sharesSessions) noteShared(database.db)
  return database
}

/** @throws AppError database_unavailable: retryable when the server is only unreachable. */
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
  sharing,
}: DatabaseOptions): Promise<Database> {
  const claim = await claimDataDir(dataDir)
  try {
    const { recovery, log: flush, ...opened } = await openPglite(dataDir, durability)
    await opened.pglite.exec(setSession(ownSettings({ sharing })))
    const session = oneConnection(opened.pglite, acquireTimeoutMs, { space: opened.space, onEnd })
    const housekeeping = new Housekeeping({ dataDir, session, ...opened, log })
    const dialect = pgliteDialect(opened.pglite, session, () => flush.settled())
    const database = assemble('embedded', dialect, NOBODY_TO_HEAR, async () => {
      // Kysely closes a driver only if it was used.
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

/** Read by the statements that look for grants (repositories/access/conversation-access.ts). */
const ownSettings = ({ sharing = true }: Pick<DatabaseOptions, 'sharing'>): OwnSettings =>
  sharing ? {} : { 'claude_api_gateway.sharing': 'off' }

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
