/** The gateway on its embedded database, which has one process: it is seeded between two starts. */

import { askTool } from '../load/ask.ts'
import { gatewayCall } from '../load/calls.ts'
import { type Pool, seedPool } from '../seed/conversations.ts'
import { newDataDir, openBenchDatabase, registerUsers, startGateway } from './gateway.ts'
import { bearer, type User } from './identity.ts'
import type { ServerProcess } from './server-process.ts'
import type { Site } from './site.ts'

/** May see everybody's usage: what the ledger holds, where there is no other way into it. */
const WATCHER = 'watcher'

export type EmbeddedBench = { server: ServerProcess; pool: Pool; calls(): Promise<number> }

type Seed = { users: number; conversationsPerUser: number; messages: number }

export async function openEmbeddedGateway(site: Site, seed: Seed): Promise<EmbeddedBench> {
  const dataDir = await newDataDir()
  const first = await startGateway(site, { dataDir })
  const users = await registerUsers(first, seed.users)
  const [watcher] = await registerUsers(first, 1, WATCHER)
  await first.stop()
  const database = await openBenchDatabase({ dataDir })
  const pool = await seedPool(database.db, users, seed)
  await database.close()
  // A listed name cannot be registered: it is listed once it is there.
  const settings = { ADMIN_USERNAMES: `${WATCHER}-0` }
  const server = await startGateway(site, { dataDir }, settings)
  return { server, pool, calls: () => bookedCalls(server, watcher as User) }
}

/** All calls in the ledger, as the gateway tells them. */
async function bookedCalls({ origin }: ServerProcess, watcher: User): Promise<number> {
  const call = gatewayCall('2025-11-25', 'get_usage', {})
  const { structuredContent } = await askTool(origin, call, { headers: bearer(watcher) })
  return structuredContent.data.total.calls
}
