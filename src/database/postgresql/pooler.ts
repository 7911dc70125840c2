/** Detects a pooler that shares the server's sessions between its clients. */

import { Client } from 'pg'
import { AppError } from '../../errors.ts'

/** Enough to see a session of another client even with a pooler that rotates them. */
const LOOKS = 3

/**
 * The gateway keeps prepared statements, settings and locks in its sessions, and listens in one. A
 * pooler in transaction mode (PgBouncer's `pool_mode=transaction`) gives it another session for
 * each statement: prepared names clash, locks are lost, and settings leak to other clients.
 *
 * @throws AppError database_unavailable, not retryable, that says what to change; what connecting
 *   throws.
 */
export async function refuseSharedSessions(url: string, connectTimeoutMs: number): Promise<void> {
  const first = await connect(url, connectTimeoutMs)
  try {
    // A pooler makes up the process id that it sends to the client.
    if ((await backendOf(first)) === (first as Client & { processID?: number }).processID) return
    const second = await connect(url, connectTimeoutMs)
    try {
      if (await areShared([first, second])) throw sharedSessions()
    } finally {
      await second.end()
    }
  } finally {
    await first.end()
  }
}

async function areShared(clients: readonly [Client, Client]): Promise<boolean> {
  const met: Set<number>[] = [new Set(), new Set()]
  for (let look = 0; look < LOOKS; look++) {
    for (const [index, client] of clients.entries()) met[index]?.add(await backendOf(client))
  }
  return met.some(({ size }) => size > 1) || [...(met[0] ?? [])].some((pid) => met[1]?.has(pid))
}

async function connect(connectionString: string, connectionTimeoutMillis: number) {
  const client = new Client({
    connectionString,
    connectionTimeoutMillis,
    query_timeout: connectionTimeoutMillis,
    application_name: 'claude-api-gateway',
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function backendOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}

const sharedSessions = () =>
  new AppError(
    'database_unavailable',
    'DATABASE_URL leads to a pooler that shares sessions between its clients (transaction or statement mode). The gateway needs sessions of its own: give it a pool in session mode (PgBouncer: pool_mode=session) or the server itself, of which it keeps DATABASE_POOL_SIZE connections and one to listen; or set DATABASE_POOLER=transaction for a pool in transaction mode.',
    { retryable: false },
  )
