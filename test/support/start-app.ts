/**
 * The real gateway on a database of its own, its port on loopback, the strict stand-in for Claude
 * behind it, and the official clients of both SDK lines in front.
 */

import { randomBytes } from 'node:crypto'
import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/config.ts'
import { listen } from '../../src/http/listener/listen.ts'
import { createLogger } from '../../src/log.ts'
import type { Features } from '../../src/mcp/features.ts'
import { MCP_PATH } from '../../src/network/mcp-addresses.ts'
import { startClaudeStandIn } from './claude-stand-in/server.ts'
import { connectClient, type Era, openUrlOf, register, type TestClient } from './clients.ts'
import { type DatabaseKind, type FreshDatabase, freshDatabaseOptions } from './databases.ts'

export {
  type Answer,
  connectClient,
  type Era,
  eras,
  type TestClient,
  type TestUser,
} from './clients.ts'

export type TestApp = Awaited<ReturnType<typeof startApp>>

const GENEROUS = {
  // What is outside of this machine is no matter of a test.
  CLIENT_ID_DOCUMENTS: 'on',
  REQUESTS_PER_MINUTE: '100000',
  MESSAGES_API_REQUESTS_PER_MINUTE: '100000',
  CONCURRENT_CALLS_PER_USER: '100000',
  ANONYMOUS_REQUESTS_PER_MINUTE: '100000',
  REGISTRATIONS_PER_HOUR: '100000',
  SIGN_INS_PER_MINUTE: '100000',
  SEARCHES_PER_MINUTE: '100000',
  OAUTH_REQUESTS_PER_MINUTE: '100000',
  CLIENT_REGISTRATIONS_PER_HOUR: '100000',
}

type StartOptions = {
  kind: DatabaseKind
  /** One that others use too, instead of a fresh one. Give the same ENCRYPTION_KEY, and drop it last. */
  database?: Pick<FreshDatabase, 'url' | 'dataDir'>
  /** Settings, over limits that no test reaches by chance. */
  env?: Record<string, string>
  /** Served over MCP instead of the gateway's own tools, resources and prompts. */
  features?: Features
  claude?: Parameters<typeof startClaudeStandIn>[0]
}

export async function startApp({
  kind,
  database,
  env = {},
  features,
  claude: claudeOptions,
}: StartOptions) {
  const claude = await startClaudeStandIn(claudeOptions)
  const fresh = database ? { ...database, drop: async () => {} } : await freshDatabaseOptions(kind)
  const config = loadConfig({
    PORT: '0',
    DATA_DIR: fresh.dataDir,
    ...(fresh.url === undefined
      ? {}
      : { DATABASE_URL: fresh.url, ENCRYPTION_KEY: randomBytes(32).toString('base64') }),
    ANTHROPIC_BASE_URL: claude.url,
    SHUTDOWN_GRACE_SECONDS: '0',
    ...GENEROUS,
    ...env,
  })
  const logLines: string[] = []
  const log = createLogger(env.LOG_LEVEL ?? 'debug', { write: (line) => logLines.push(line) })
  const app = await createApp(config, { log, ...(features ? { features } : {}) })
  const listening = await listen(app.http, config.http)
  const mcpUrl = `${listening.url}${MCP_PATH}`
  const url = openUrlOf(mcpUrl)
  const clients = new Set<TestClient>()

  const connect = async (era: Era, accessToken?: string): Promise<TestClient> => {
    const client = await connectClient(era, accessToken ? mcpUrl : url, accessToken)
    clients.add(client)
    return client
  }

  return {
    app,
    claude,
    config,
    /** Of the MCP endpoint, where requests need no token in their header. */
    url,
    /** The same, where they need one. */
    mcpUrl,
    baseUrl: listening.url,
    logLines,
    /** What was logged as an error, or worse. */
    errorLines: () => errorsIn(logLines),
    dataDir: fresh.dataDir,
    databaseUrl: fresh.url,
    connect,
    /** A name in ADMIN_USERNAMES is added by the operator: nobody registers it. */
    register: (name?: string) => {
      const isListed = config.accounts.adminUsernames.includes(name?.toLowerCase() ?? '')
      const add = app.services.userAdministration
      return register(url, name, isListed ? (user) => add.add(user) : undefined)
    },
    async close(): Promise<void> {
      for (const client of clients) await client.close()
      const closed = listening.close()
      await app.close(0)
      listening.cut()
      await closed
      await fresh.drop()
      await claude.close()
    },
  }
}

/** The lines of a log that tell of errors, or of worse. */
export const errorsIn = (lines: readonly string[]): string[] =>
  lines.filter((line) => /"level":"(error|fatal)"/.test(line))
