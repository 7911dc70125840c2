/** The gateway as it is shipped, with everything on, and the people who use it. */

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Database, openDatabase } from '../../src/database/open.ts'
import { register } from '../../test/support/clients.ts'
import { type Pool, seedPool } from '../seed/conversations.ts'
import { onExit } from './cleanup.ts'
import { ENCRYPTION_KEY, type User } from './identity.ts'
import { ServerProcess } from './server-process.ts'
import type { Site } from './site.ts'

/** The checkout that this file lies in. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** The dist/ of a checkout, with the flags of its npm start. */
function commandOf(root: string): string[] {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return [...scripts.start.split(' ').slice(1, -1), join(root, 'dist/main.js')]
}

/** For Chrome DevTools, or anything else that reads .cpuprofile. */
const PROFILES = join(tmpdir(), 'gateway-profiles')
const ALLOCATIONS = new URL('../allocations.mjs', import.meta.url).href

/** Every limit is on, and high enough not to be reached. */
const SETTINGS = {
  ENCRYPTION_KEY,
  // Tokens are bound to it: all replicas have the same, whatever their ports.
  PUBLIC_URL: 'http://localhost:3000',
  SESSION_TIMEOUT: '86400',
  REQUESTS_PER_MINUTE: '1000000',
  MESSAGES_API_REQUESTS_PER_MINUTE: '1000000',
  CONCURRENT_CALLS_PER_USER: '1000000',
  ANONYMOUS_REQUESTS_PER_MINUTE: '1000000',
  REGISTRATIONS_PER_HOUR: '1000000',
  SIGN_INS_PER_MINUTE: '1000000',
  SEARCHES_PER_MINUTE: '1000000',
  BUDGET_USD_PER_DAY: '1000000',
  BUDGET_USD_PER_MONTH: '1000000',
  DRAIN_SECONDS: '0',
  SHUTDOWN_GRACE_SECONDS: '5',
}

export type Place = { url: string } | { dataDir: string }

/**
 * @param place of its database.
 * @param root of the checkout whose build is started.
 */
export async function startGateway(
  site: Site,
  place: Place,
  settings: Record<string, string> = {},
  root = ROOT,
): Promise<ServerProcess> {
  const upstream = await site.upstream()
  return ServerProcess.start({
    name: 'gateway',
    args: [
      ...(site.isProfiled
        ? ['--cpu-prof', `--cpu-prof-dir=${PROFILES}`, '--import', ALLOCATIONS]
        : []),
      ...commandOf(root),
    ],
    env: {
      ...SETTINGS,
      ...('url' in place ? { DATABASE_URL: place.url } : { DATA_DIR: place.dataDir }),
      ANTHROPIC_BASE_URL: upstream.origin,
      ...settings,
    },
    readyPath: '/readyz',
  })
}

/**
 * Runs a command of the operator's on the same settings, to its end.
 *
 * @returns what it printed. @throws Error when it fails.
 */
export async function runAdmin({ url }: { url: string }, args: string[]): Promise<string> {
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, ENCRYPTION_KEY, PUBLIC_URL: SETTINGS.PUBLIC_URL, DATABASE_URL: url }
  const command = [join(ROOT, 'dist/admin.js'), ...args]
  const { stdout } = await promisify(execFile)(process.execPath, command, { env })
  return stdout
}

/** Over HTTP, as any user would. */
export async function registerUsers(
  { origin }: ServerProcess,
  count: number,
  prefix = 'bench',
): Promise<User[]> {
  const users: User[] = []
  for (let number = 0; number < count; number++) {
    users.push(await register(`${origin}/mcp`, `${prefix}-${number}`))
  }
  return users
}

export type Bench = {
  server: ServerProcess
  url: string
  /** Of the PostgreSQL server. */
  databasePid: number | undefined
  /** The harness's own way into the database. */
  database: Database
  users: User[]
  /** Conversations with {@link HISTORY_MESSAGES} each, evenly the users'. */
  pool: Pool
  /** Half as many others, each two exchanges shorter. Seeded when first asked for. */
  shorterPool: () => Promise<Pool>
}

export const HISTORY_MESSAGES = 10

export async function openStandingGateway(site: Site, root = ROOT): Promise<Bench> {
  const { scale } = site
  const cluster = await site.cluster()
  const url = await cluster.createDatabase()
  const server = await startGateway(site, { url }, {}, root)
  const users = await registerUsers(server, scale.users)
  const database = await openBenchDatabase({ url })
  const { conversationsPerUser } = scale
  const seed = (messages: number, share: number) =>
    seedPool(database.db, users, {
      conversationsPerUser: Math.ceil(conversationsPerUser * share),
      messages,
    })
  const pool = await seed(HISTORY_MESSAGES, 1)
  let shorter: Promise<Pool> | undefined
  const shorterPool = () => {
    shorter ??= seed(HISTORY_MESSAGES - 4, 0.5)
    return shorter
  }
  return { server, url, databasePid: cluster.pid, database, users, pool, shorterPool }
}

export async function openBenchDatabase(place: Place): Promise<Database> {
  const own = 'url' in place ? { ...place, dataDir: '' } : place
  const database = await openDatabase({ ...own, statementTimeoutMs: 0 })
  onExit(() => database.close())
  return database
}

/** Deleted with the run. */
export async function newDataDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-bench-'))
  onExit(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** What the files in it hold, whatever the disk makes of that. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(
    files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
