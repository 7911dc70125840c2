/** The wiring of the gateway, top to bottom. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AnthropicClaude } from './claude/client.ts'
import { resolveModel } from './claude/models.ts'
import { Upstream } from './claude/pass-through/upstream.ts'
import { loadPriceTable } from './claude/prices/prices.ts'
import { Memory } from './concurrency/memory.ts'
import type { Config } from './config/config.ts'
import { parseEncryptionKey } from './config/encryption-key.ts'
import { readOrMakeKeyFile } from './crypto/key-file.ts'
import { Passwords } from './crypto/passwords.ts'
import { KeyRing } from './crypto/sealed.ts'
import { AccessTokens } from './crypto/tokens.ts'
import { blameMachine } from './database/embedded/durability/machine-faults.ts'
import { migrateToLatest, pendingMigrations } from './database/migrations/migrate.ts'
import type { Database } from './database/open.ts'
import { openConfiguredDatabase } from './database/open-configured.ts'
import { userCounters } from './http/rate-limit/rate-limit.ts'
import { counterStore } from './http/rate-limit/stores.ts'
import { createHttpApp } from './http/server.ts'
import { createLogger, type Logger } from './log.ts'
import type { Features } from './mcp/features.ts'
import { MCP_PATH } from './network/mcp-addresses.ts'
import { Outgoing } from './network/outgoing.ts'
import { OwnOrigins } from './network/own-origins.ts'
import { reasonOf } from './network/untrusted/fetch-reasons.ts'
import { postToUntrusted } from './network/untrusted/post.ts'
import { isListed } from './network/untrusted/reach-policy.ts'
import { AuthorizationServer } from './oauth/authorization-server.ts'
import { ClientDocuments } from './oauth/documents/client-documents.ts'
import { ACCESS_TOKEN_SECONDS } from './oauth/provider.ts'
import { createRepositories, createTransact, type Repositories } from './repositories/index.ts'
import { ANSWERS_CHANNEL } from './repositories/turns/answer-events.ts'
import { openAuditKeys } from './services/audit/audit-keys.ts'
import { createServices } from './services/index.ts'
import { openSigningKeys } from './services/keys/signing-keys.ts'
import { Vault } from './services/keys/vault.ts'
import type { Post } from './services/webhooks/webhook-deliveries.ts'
import { createTelemetry } from './telemetry.ts'
import { oauthErrorPage } from './web/pages/oauth-error/view.ts'

/** What the caller has created already. `features`: served over MCP instead of the gateway's own. */
export type Given = { log?: Logger; database?: Database; features?: Features }

export type App = Awaited<ReturnType<typeof createApp>>

/** The generated encryption key, in the data folder of the embedded database. */
const KEY_FILE = 'encryption-key'

const MISSING_PASSWORD_KEY =
  'a password cannot be checked: its encryption key is not configured. Add the key to ENCRYPTION_KEYS_PREVIOUS, or reset the password'

/**
 * Opens and migrates the database, and assembles the gateway on it. Does not listen.
 *
 * @throws AppError or Error, with nothing left open, when something it needs is missing.
 */
export async function createApp(config: Config, given: Given = {}) {
  const log = given.log ?? createLogger(config.log.level)
  const database = given.database ?? (await openConfiguredDatabase(config, log))
  try {
    return await assemble(config, database, log, given.features)
  } catch (error) {
    await database.close()
    throw error
  }
}

async function assemble(config: Config, database: Database, log: Logger, features?: Features) {
  const { db, kind } = database
  // For a rollback to the older build.
  if ((await pendingMigrations(db)).length > 0) await database.keepCopy('before-migration')
  const migrations = await migrateToLatest(db, kind, (message) => log.warn(message))
  if (migrations.length > 0) log.info({ migrations }, 'database migrated')

  const repositories = createRepositories(db)
  const keyRing = await openKeyRing(config, kind, repositories)
  const transact = createTransact(db)
  const prices = loadPriceTable(await readPrices(config.chat.pricesFile))
  const outgoing = new Outgoing(config.outgoing)
  const claude = new AnthropicClaude({ ...config.upstream, outgoing })
  const upstream = new Upstream({ baseUrl: config.upstream.baseUrl, outgoing })
  const signingKeys = await openSigningKeys({
    repository: repositories.signingKeys,
    vault: new Vault(keyRing),
    longestTokenSeconds: Math.max(config.accounts.sessionSeconds, ACCESS_TOKEN_SECONDS),
  })
  const auditKeys = await openAuditKeys({
    repository: repositories.auditKeys,
    vault: new Vault(keyRing),
  })
  const origins = new OwnOrigins(config.http.publicUrl)
  const [audience = '', ...audiences] = origins.all.map((origin) => `${origin}${MCP_PATH}`)
  const tokens = new AccessTokens({
    issuer: origins.public,
    audience,
    also: { issuers: origins.all.slice(1), audiences },
    keys: signingKeys.current.all,
  })
  signingKeys.onChange(({ all }) => tokens.replaceKeys(all))
  const telemetry = createTelemetry()
  const services = createServices({
    config,
    repositories,
    transact,
    claude,
    upstream,
    post: postBy(config, outgoing),
    prices,
    keyRing,
    passwords: new Passwords(keyRing, {
      threadPoolSize: config.accounts.threadPoolSize,
      onMissingKey: (keyId) => log.error({ keyId }, MISSING_PASSWORD_KEY),
    }),
    tokens,
    signingKeys,
    auditKeys,
    userCounters: countsInDatabase(config, kind) ? userCounters(config.limits) : null,
    memory: new Memory(),
    database: {
      kind,
      ping: () => database.ping(),
      pendingMigrations: () => pendingMigrations(db),
      refusesWrites: () => database.refusesWrites(),
    },
    log,
    telemetry,
  })
  const { privateClientHosts: privateHosts, documentMode: mode } = config.oauth
  const clientDocuments = new ClientDocuments({ mode, privateHosts, outgoing, log })
  const authorizationServer = new AuthorizationServer({
    origins,
    keys: signingKeys.current,
    store: { repositories, transact, vault: new Vault(keyRing) },
    tokens,
    audit: services.audit.log,
    documents: clientDocuments,
    errorPage: oauthErrorPage,
    log,
  })
  signingKeys.onChange((keys) => authorizationServer.replaceKeys(keys))
  telemetry.watchRunningAnswers(() => services.running.ids.length)
  const shared = await openSharedStores(config, kind, repositories, log)
  const listener = database.listen(ANSWERS_CHANNEL, services.onSignal)
  warnOfRetiredDefault(config, log)
  await services.upkeep.start()
  clientDocuments.start()

  return {
    http: createHttpApp({
      config,
      origins,
      services,
      authorizationServer,
      log,
      telemetry,
      stores: shared?.store,
      features,
    }),
    authorizationServer,
    db,
    databaseKind: kind,
    services,
    repositories,
    log,
    /**
     * Waits up to `graceMs` for running answers, records the rest as interrupted, and closes the
     * database. Stop listening first.
     */
    async close(graceMs: number): Promise<void> {
      await Promise.all([services.running.drain(graceMs), services.runningCalls.drain(graceMs)])
      await services.upkeep.stop()
      await services.notices.flush()
      await listener.close()
      clientDocuments.stop()
      await outgoing.close()
      await shared?.close()
      await database.close()
    },
  }
}

/** Sends what webhooks are told. Hosts that the operator listed may lie at private addresses. */
function postBy({ webhooks }: Config, outgoing: Outgoing): Post {
  const privateHosts = webhooks.allowHosts
  return async (url, posted, signal) => {
    try {
      return { status: await postToUntrusted(url, posted, { privateHosts, outgoing, signal }) }
    } catch (error) {
      const isAllowed = isListed(new URL(url).hostname, privateHosts)
      return reasonOf(error, isAllowed, 'WEBHOOK_ALLOW_HOSTS')
    }
  }
}

/** Only warns: a model may retire while a gateway is in use, and other models still answer. */
function warnOfRetiredDefault({ chat }: Config, log: Logger): void {
  try {
    resolveModel(chat.defaultModel, chat.retiredModels)
  } catch (err) {
    log.warn({ err }, 'CLAUDE_MODEL cannot be used; messages that name no model will fail')
  }
}

async function openKeyRing(
  { database, secrets }: Config,
  kind: Database['kind'],
  repositories: Repositories,
) {
  const current = secrets.encryptionKey ?? (await embeddedKey(database.dataDir, kind, repositories))
  return new KeyRing(current, secrets.encryptionKeysPrevious)
}

async function embeddedKey(
  dataDir: string,
  kind: Database['kind'],
  { signingKeys }: Repositories,
): Promise<Buffer> {
  if (kind !== 'embedded') throw new Error('ENCRYPTION_KEY is required with DATABASE_URL.')
  const path = join(dataDir, KEY_FILE)
  // The very first start seals a signing key before anything else.
  const isNew = async () => (await signingKeys.list()).length === 0
  const text = await readOrMakeKeyFile(path, isNew).catch(blameMachine)
  if (text !== undefined) return keyIn(path, text)
  throw new Error(
    `The key that sealed the data in ${dataDir} is missing: ${path} is empty or not there. Put it back from a backup, or set ENCRYPTION_KEY to it. Without it the data cannot be read; no other key was made.`,
  )
}

function keyIn(path: string, text: string): Buffer {
  try {
    return parseEncryptionKey(text)
  } catch (cause) {
    const todo = 'Put it back from a backup, or set ENCRYPTION_KEY to the key that sealed the data'
    throw new Error(`${path} holds something else than an encryption key. ${todo}.`, { cause })
  }
}

async function readPrices(file: string | undefined): Promise<unknown> {
  return file === undefined ? undefined : JSON.parse(await readFile(file, 'utf8'))
}

/** Shared by all replicas. With the embedded database a single process counts in memory. */
const countsInDatabase = ({ limits }: Pick<Config, 'limits'>, kind: Database['kind']) =>
  limits.redisUrl === undefined && kind === 'postgresql'

/** Shared counters: in Redis if configured, else in PostgreSQL; none for a single process. */
async function openSharedStores(
  { limits }: Pick<Config, 'limits'>,
  kind: Database['kind'],
  { rateLimits }: Repositories,
  log: Logger,
) {
  if (limits.redisUrl !== undefined) {
    // Takes as long to load as the rest of the HTTP side, and few use Redis.
    const { openRedisStores } = await import('./http/rate-limit/redis-stores.ts')
    return openRedisStores(limits.redisUrl, (err) => log.warn({ err }, 'Redis is away'))
  }
  if (!countsInDatabase({ limits }, kind)) return undefined
  return { store: (prefix: string) => counterStore(rateLimits, prefix), close: async () => {} }
}
