/**
 * The environment, parsed once into a typed object; the only reader of process.env.
 *
 * The settings themselves are declared in config/settings.ts.
 */

import { z } from 'zod'
import { check } from '../text/problems.ts'
import { urlHost } from '../text/url-host.ts'
import { misspeltSettings } from './misspelt-settings.ts'
import { readSecretFiles } from './secret-files.ts'
import { SECRET_SETTINGS, SETTINGS } from './settings.ts'

const Environment = z.object(SETTINGS)

type Issue = { path: readonly PropertyKey[]; message: string }
type Given = { [Name in keyof typeof SETTINGS]?: string }

/** Rules across several settings; they check only which are set, valid or not. */
function missingSettings(given: Given): Issue[] {
  const rules: [keyof Given, boolean, string][] = [
    [
      'ENCRYPTION_KEY',
      given.DATABASE_URL !== undefined,
      'is required with DATABASE_URL, the same on every replica; make one with: openssl rand -base64 32',
    ],
    ['TLS_KEY_FILE', given.TLS_CERT_FILE !== undefined, 'is required with TLS_CERT_FILE'],
    ['TLS_CERT_FILE', given.TLS_KEY_FILE !== undefined, 'is required with TLS_KEY_FILE'],
    ['METRICS_TOKEN', given.METRICS === 'token', 'is required with METRICS=token'],
  ]
  return rules
    .filter(([name, isNeeded]) => isNeeded && given[name] === undefined)
    .map(([name, , message]) => ({ path: [name], message }))
}

/** Reports settings of earlier versions, and what replaces them. */
function formerSettings(env: Record<string, string | undefined>): Issue[] {
  const given = env.MCP_ANONYMOUS?.trim()
  if (given === undefined || given === '') return []
  const instead = /^(?:false|0|no|off|n|disabled)$/i.test(given)
    ? 'write MCP_OPEN=off instead, which closes /mcp/open to them'
    : 'remove it: clients without one use /mcp/open'
  const message = `is no setting any more, since /mcp answers no request without a token; ${instead}`
  return [{ path: ['MCP_ANONYMOUS'], message }]
}

/** The password is inserted between the user and the host. */
function misplacedPassword({ DATABASE_URL: url, DATABASE_PASSWORD: password }: Given): Issue[] {
  if (password === undefined || /^[^:]+:\/\/[^:@/?#]+@/.test(url ?? '')) return []
  const message =
    'needs a DATABASE_URL with a user and without a password: postgres://user@host:5432/database'
  return [{ path: ['DATABASE_PASSWORD'], message }]
}

/**
 * Reads the settings, and the files of secrets.
 *
 * @throws ConfigError naming every missing or malformed setting, never its value.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env) {
  const files = readSecretFiles(SECRET_SETTINGS, env)
  const given: Given = { ...givenIn(env), ...files.values }
  const { data, problems = [] } = check(Environment, given)
  const together = [...missingSettings(given), ...misplacedPassword(given)]
  const issues = [
    ...problems.map(({ field, words }) => ({ path: [field], message: words })),
    ...files.issues,
    ...formerSettings(env),
    ...misspeltSettings(env),
    ...together.filter(({ path: [name] }) => !isUnread(name, files.issues)),
  ]
  if (!data || issues.length > 0) throw new ConfigError(issues)
  return toConfig(data, env)
}

function givenIn(env: Record<string, string | undefined>): Given {
  return Object.fromEntries(
    Object.keys(SETTINGS).flatMap((name) => {
      const value = (lowerCase(name, env) ?? env[name])?.trim()
      return value === undefined || value === '' ? [] : [[name, value]]
    }),
  )
}

/** The proxy settings are also read in lower case, which takes precedence (curl documentation). */
const lowerCase = (name: string, env: Record<string, string | undefined>) =>
  /^(HTTPS?|NO)_PROXY$/.test(name) ? env[name.toLowerCase()] : undefined

/** Whether the setting's file cannot be read, which is reported already. */
const isUnread = (name: PropertyKey | undefined, issues: readonly Issue[]) =>
  issues.some(({ path }) => path[0] === `${String(name)}_FILE`)

export type Config = ReturnType<typeof loadConfig>

/** Lists the problem of each setting, so that all can be fixed at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(issues: readonly Issue[]) {
    const lines = issues.map(({ path, message }) => `  ${path.map(String).join('.')}: ${message}`)
    super(`These settings are wrong or missing:\n${lines.join('\n')}`)
  }
}

/** Inserts it after the user's name, which {@link misplacedPassword} requires. */
function withPassword(url: string | undefined, password: string | undefined): string | undefined {
  if (url === undefined || password === undefined) return url
  return url.replace('@', () => `:${encodeURIComponent(password)}@`)
}

function toConfig(env: z.infer<typeof Environment>, raw: Record<string, string | undefined>) {
  const tls =
    env.TLS_CERT_FILE !== undefined && env.TLS_KEY_FILE !== undefined
      ? { certFile: env.TLS_CERT_FILE, keyFile: env.TLS_KEY_FILE }
      : undefined
  const scheme = tls ? 'https' : 'http'
  return {
    http: {
      host: env.HOST,
      port: env.PORT,
      publicUrl: env.PUBLIC_URL ?? `${scheme}://${urlHost(env.HOST)}:${env.PORT}`,
      tls,
      trustProxy: env.TRUST_PROXY,
      maxBodyBytes: env.MAX_BODY_BYTES,
      allowedHosts: env.ALLOWED_HOSTS,
      allowedOrigins: env.ALLOWED_ORIGINS,
      mcpOpen: env.MCP_OPEN === 'on',
      metrics: { mode: env.METRICS, token: env.METRICS_TOKEN },
      drainSeconds: env.DRAIN_SECONDS,
      shutdownGraceSeconds: env.SHUTDOWN_GRACE_SECONDS,
    },
    oauth: {
      documentMode: env.CLIENT_ID_DOCUMENTS,
      privateClientHosts: env.PRIVATE_CLIENT_HOSTS.map((host) => host.toLowerCase()),
    },
    webhooks: {
      isForTeams: env.TEAM_WEBHOOKS === 'on',
      allowHosts: env.WEBHOOK_ALLOW_HOSTS.map((host) => host.toLowerCase()),
    },
    mcp: { maxToolInputElements: env.MAX_TOOL_INPUT_ELEMENTS, toolPrefix: env.TOOL_PREFIX },
    sharing: {
      isOn: env.SHARING === 'on',
      links: env.SHARING === 'on' ? env.LINKS : 'off',
      publicLinkMaxDays: env.PUBLIC_LINK_MAX_DAYS,
    },
    database: {
      url: withPassword(env.DATABASE_URL, env.DATABASE_PASSWORD),
      dataDir: env.DATA_DIR,
      durability: env.EMBEDDED_DURABILITY,
      poolSize: env.DATABASE_POOL_SIZE,
      pooler: env.DATABASE_POOLER,
      sharing: env.SHARING === 'on',
    },
    secrets: {
      encryptionKey: env.ENCRYPTION_KEY,
      encryptionKeysPrevious: env.ENCRYPTION_KEYS_PREVIOUS,
    },
    accounts: {
      registrationOpen: env.REGISTRATION === 'open',
      validateApiKeys: env.VALIDATE_API_KEYS,
      sessionSeconds: env.SESSION_TIMEOUT,
      adminUsernames: env.ADMIN_USERNAMES.map((username) => username.toLowerCase()),
      threadPoolSize: Number(raw.UV_THREADPOOL_SIZE ?? 4) || 4,
    },
    chat: {
      defaultModel: env.CLAUDE_MODEL,
      defaultMaxTokens: env.MAX_TOKENS,
      defaultTemperature: env.TEMPERATURE,
      retiredModels: env.RETIRED_MODELS,
      maxMessagesSent: env.MAX_CONVERSATION_LENGTH,
      warnHistoryTokens: env.WARN_HISTORY_TOKENS,
      maxStoredBytes: env.MAX_STORED_BYTES_PER_USER || null,
      importMaxMib: env.IMPORT_MAX_MIB,
      rememberedBytes: env.SEND_MEMORY_MIB * 1024 * 1024,
      pricesFile: env.PRICES_FILE,
    },
    budgets: {
      defaults: {
        day: { nanoUsd: env.BUDGET_USD_PER_DAY ?? null, tokens: env.BUDGET_TOKENS_PER_DAY ?? null },
        month: {
          nanoUsd: env.BUDGET_USD_PER_MONTH ?? null,
          tokens: env.BUDGET_TOKENS_PER_MONTH ?? null,
        },
      },
      unpricedModels: env.UNPRICED_MODELS,
    },
    outgoing: {
      httpsProxy: env.HTTPS_PROXY,
      httpProxy: env.HTTP_PROXY,
      noProxy: env.NO_PROXY,
    },
    upstream: {
      baseUrl: env.ANTHROPIC_BASE_URL,
      deadlineMs: env.UPSTREAM_TIMEOUT_SECONDS * 1000,
      firstTokenMs: Math.max(env.UPSTREAM_FIRST_TOKEN_SECONDS, env.UPSTREAM_IDLE_SECONDS) * 1000,
      idleMs: env.UPSTREAM_IDLE_SECONDS * 1000,
    },
    limits: {
      requestsPerMinute: env.REQUESTS_PER_MINUTE,
      messagesApiRequestsPerMinute: env.MESSAGES_API_REQUESTS_PER_MINUTE,
      concurrentCallsPerUser: env.CONCURRENT_CALLS_PER_USER,
      anonymousRequestsPerMinute: env.ANONYMOUS_REQUESTS_PER_MINUTE,
      registrationsPerHour: env.REGISTRATIONS_PER_HOUR,
      signInsPerMinute: env.SIGN_INS_PER_MINUTE,
      searchesPerMinute: env.SEARCHES_PER_MINUTE,
      signInFailuresPerAccount: env.SIGN_IN_FAILURES_PER_ACCOUNT,
      oauthRequestsPerMinute: env.OAUTH_REQUESTS_PER_MINUTE,
      clientRegistrationsPerHour: env.CLIENT_REGISTRATIONS_PER_HOUR,
      redisUrl: env.REDIS_URL,
    },
    log: { level: env.LOG_LEVEL },
  }
}
