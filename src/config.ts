/**
 * The environment, parsed once into a typed object; the only reader of process.env.
 *
 * The settings are declared in one table (SETTINGS): README.md and .env.example list the same
 * names, and a test holds them to it.
 */

import { isIP } from 'node:net'
import { z } from 'zod'
import { parseEncryptionKey } from './encryption-key.ts'

const seconds = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
/** Decimal USD, exact to a nano-USD. */
const usd = z
  .string()
  .regex(/^\d{1,9}(\.\d{1,9})?$/, 'must be an amount in USD, for example 25 or 0.50')
  .transform((text) => {
    const [whole = '0', fraction = ''] = text.split('.')
    return BigInt(whole) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))
  })

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
)

const encryptionKey = z.string().transform((text, context) => {
  try {
    return parseEncryptionKey(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

const databaseUrl = z.string().superRefine((text, context) => {
  if (/^postgres(ql)?:\/\/./.test(text)) return
  context.addIssue({
    code: 'custom',
    message: /^sqlite/i.test(text)
      ? 'SQLite is not supported: remove DATABASE_URL to use the embedded PostgreSQL in DATA_DIR, or write postgres://user:password@host:5432/database'
      : 'must look like postgres://user:password@host:5432/database (or be left out for the embedded database)',
  })
})

const trustProxy = z
  .string()
  .refine((text) => text === 'false' || /^[1-9]\d*$/.test(text) || isListOfNetworks(text), {
    message:
      'must be the number of proxies in front (1), or their addresses or subnets, comma separated',
  })
  .transform((text) => {
    if (text === 'false') return false
    return /^\d+$/.test(text) ? Number(text) : text
  })

/** What Express takes besides a number (Express documentation: Behind proxies). */
function isListOfNetworks(text: string): boolean {
  return text.split(',').every((item) => {
    const [address = '', prefix, ...rest] = item.trim().split('/')
    if (/^(loopback|linklocal|uniquelocal)$/.test(address)) return prefix === undefined
    const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits)
    return bits > 0 && isPrefix && rest.length === 0
  })
}

const origin = z.url({ protocol: /^https?$/ }).transform((text) => text.replace(/\/+$/, ''))

const bareOrigin = z
  .url({ protocol: /^https?$/ })
  .refine(isBareOrigin, 'must be scheme, host and port only, for example https://gateway.example')
  .transform((text) => new URL(text).origin)

function isBareOrigin(text: string): boolean {
  if (!URL.canParse(text)) return true
  const { pathname, search, hash, username, password } = new URL(text)
  return pathname === '/' && `${search}${hash}${username}${password}` === ''
}

/** Every setting, in the order the README shows them. Blank counts as not set. */
export const SETTINGS = {
  HOST: z
    .string()
    .default('127.0.0.1')
    .describe('Address to listen on. `0.0.0.0` for every interface.'),
  PORT: count(0, 65_535).default(3000).describe('Port to listen on.'),
  PUBLIC_URL: bareOrigin
    .optional()
    .describe(
      'The URL people reach the gateway at, without a path, for example `https://gateway.example`. Default: `http://HOST:PORT`.',
    ),
  DATA_DIR: z
    .string()
    .default('./data')
    .describe('Folder of the embedded database and of generated secrets (mode 0700).'),
  DATABASE_URL: databaseUrl
    .optional()
    .describe(
      '`postgres://…`, version 14 or newer. Left out: the embedded database in `DATA_DIR`.',
    ),
  DATABASE_POOL_SIZE: count(1, 200).default(10).describe('Connections to PostgreSQL per process.'),
  ENCRYPTION_KEY: encryptionKey
    .optional()
    .describe(
      '32 bytes in base64, base64url or hex; seals every secret. Generated into `DATA_DIR` for the embedded database, required with `DATABASE_URL`.',
    ),
  ENCRYPTION_KEYS_PREVIOUS: list
    .pipe(z.array(encryptionKey))
    .default([])
    .describe('Older keys, comma separated, that still open what they sealed.'),
  SESSION_TIMEOUT: seconds(60, 31_536_000)
    .default(3600)
    .describe('Life of an access token, in seconds.'),
  REGISTRATION: z
    .enum(['open', 'closed'])
    .default('open')
    .describe('`closed` refuses register_user.'),
  VALIDATE_API_KEYS: z
    .stringbool()
    .default(true)
    .describe('Prove an Anthropic key with Anthropic before it is stored.'),
  ADMIN_USERNAMES: list
    .default([])
    .describe("Users who see everybody's figures and set everybody's budgets, comma separated."),
  CLAUDE_MODEL: z
    .string()
    .min(1)
    .default('claude-sonnet-5-5')
    .describe('Model of a new conversation that names none. Aliases: `sonnet`, `opus`, `haiku`.'),
  MAX_TOKENS: count(1, 1_000_000)
    .default(4096)
    .describe('Longest answer, in tokens, when a call names none.'),
  TEMPERATURE: z.coerce
    .number()
    .min(0)
    .max(1)
    .optional()
    .describe('Sent only to models that still take it. Default: never sent.'),
  RETIRED_MODELS: z
    .enum(['refuse', 'map'])
    .default('refuse')
    .describe('`map` uses the replacement of a retired model and says so in `warnings`.'),
  MAX_CONVERSATION_LENGTH: count(2, 100_000)
    .default(100)
    .describe('Most messages sent to Claude per call; older ones stay stored.'),
  BUDGET_USD_PER_DAY: usd
    .optional()
    .describe('What each user may spend a day (UTC), in USD. Default: no limit.'),
  BUDGET_USD_PER_MONTH: usd.optional().describe('The same for a month.'),
  BUDGET_TOKENS_PER_DAY: count(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('Tokens each user may use a day (UTC), input and output. Default: no limit.'),
  BUDGET_TOKENS_PER_MONTH: count(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe('The same for a month.'),
  UNPRICED_MODELS: z
    .enum(['refuse', 'allow'])
    .default('refuse')
    .describe('Whether a model without a known price may be used under a budget in USD.'),
  PRICES_FILE: z
    .string()
    .optional()
    .describe(
      'JSON file of prices that add to or replace the built-in table (docs/OPERATIONS.md).',
    ),
  ANTHROPIC_BASE_URL: origin.default('https://api.anthropic.com').describe('Where Claude is.'),
  UPSTREAM_TIMEOUT_SECONDS: seconds(1, 3600)
    .default(600)
    .describe('Longest time one answer may take.'),
  UPSTREAM_IDLE_SECONDS: seconds(1, 3600)
    .default(60)
    .describe('Longest silence of an answer under way.'),
  REQUESTS_PER_MINUTE: count(1, 1_000_000).default(60).describe('Per user.'),
  ANONYMOUS_REQUESTS_PER_MINUTE: count(1, 1_000_000)
    .default(60)
    .describe('Per address, for requests without a token.'),
  REGISTRATIONS_PER_HOUR: count(1, 1_000_000).default(10).describe('Per address.'),
  SIGN_INS_PER_MINUTE: count(1, 1_000_000).default(10).describe('Attempts per address.'),
  SIGN_IN_FAILURES_PER_ACCOUNT: count(1, 1_000_000)
    .default(10)
    .describe('Wrong passwords per account in 15 minutes before it is paused.'),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/ })
    .optional()
    .describe('Keeps the rate-limit counters in Redis or Valkey instead of PostgreSQL.'),
  MCP_ANONYMOUS: z
    .stringbool()
    .default(true)
    .describe(
      '`false` demands a token on every MCP request; register_user and authenticate_user are then closed to newcomers.',
    ),
  ALLOWED_HOSTS: list
    .default([])
    .describe(
      'Further host names that `/mcp` answers to, besides loopback and the one of `PUBLIC_URL`.',
    ),
  ALLOWED_ORIGINS: list
    .default([])
    .describe(
      'Host names of web pages that may call `/mcp` from a browser, besides loopback and `PUBLIC_URL`.',
    ),
  TRUST_PROXY: trustProxy
    .default(false)
    .describe(
      'Number of proxies in front, or their addresses: only then do `X-Forwarded-*` headers count.',
    ),
  TLS_CERT_FILE: z
    .string()
    .optional()
    .describe('PEM certificate chain: serve HTTPS directly. Read again on SIGHUP.'),
  TLS_KEY_FILE: z.string().optional().describe('PEM private key of the certificate.'),
  MAX_BODY_BYTES: count(1024, 33_554_432).default(4_194_304).describe('Largest request body.'),
  MAX_TOOL_INPUT_ELEMENTS: count(10, 1_000_000)
    .default(10_000)
    .describe("Most values in one tool call's arguments."),
  METRICS: z
    .enum(['off', 'loopback', 'token'])
    .default('off')
    .describe(
      'Who may read `GET /metrics` (Prometheus): nobody, this machine, or holders of `METRICS_TOKEN`.',
    ),
  METRICS_TOKEN: z
    .string()
    .min(16)
    .optional()
    .describe('Bearer token for `METRICS=token`, at least 16 characters.'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe('Least severe log line written.'),
  SHUTDOWN_GRACE_SECONDS: seconds(0, 3600)
    .default(30)
    .describe('On SIGTERM, time for running answers to finish.'),
}

const Environment = z.object(SETTINGS)

type Issue = { path: readonly PropertyKey[]; message: string }
type Given = { [Name in keyof typeof SETTINGS]?: string }

/** Rules that take more than one setting; they look at what is given, right or wrong. */
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

/** @throws ConfigError naming every missing or malformed setting, never its value. */
export function loadConfig(env: Record<string, string | undefined> = process.env) {
  const given: Given = Object.fromEntries(
    Object.keys(SETTINGS).flatMap((name) => {
      const value = env[name]?.trim()
      return value === undefined || value === '' ? [] : [[name, value]]
    }),
  )
  const parsed = Environment.safeParse(given)
  const issues = [...(parsed.error?.issues ?? []), ...missingSettings(given)]
  if (!parsed.success || issues.length > 0) throw new ConfigError(issues)
  return toConfig(parsed.data, env)
}

export type Config = ReturnType<typeof loadConfig>

/** Names what is wrong with each setting, so that all can be mended at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(issues: readonly Issue[]) {
    const lines = issues.map(({ path, message }) => `  ${path.map(String).join('.')}: ${message}`)
    super(`These settings are wrong or missing:\n${lines.join('\n')}`)
  }
}

function toConfig(env: z.infer<typeof Environment>, raw: Record<string, string | undefined>) {
  const tls =
    env.TLS_CERT_FILE !== undefined && env.TLS_KEY_FILE !== undefined
      ? { certFile: env.TLS_CERT_FILE, keyFile: env.TLS_KEY_FILE }
      : undefined
  const scheme = tls ? 'https' : 'http'
  const name = env.HOST.includes(':') ? `[${env.HOST}]` : env.HOST
  return {
    http: {
      host: env.HOST,
      port: env.PORT,
      publicUrl: env.PUBLIC_URL ?? `${scheme}://${name}:${env.PORT}`,
      tls,
      trustProxy: env.TRUST_PROXY,
      maxBodyBytes: env.MAX_BODY_BYTES,
      allowedHosts: env.ALLOWED_HOSTS,
      allowedOrigins: env.ALLOWED_ORIGINS,
      anonymous: env.MCP_ANONYMOUS,
      metrics: { mode: env.METRICS, token: env.METRICS_TOKEN },
      shutdownGraceSeconds: env.SHUTDOWN_GRACE_SECONDS,
    },
    mcp: { maxToolInputElements: env.MAX_TOOL_INPUT_ELEMENTS },
    database: {
      url: env.DATABASE_URL,
      dataDir: env.DATA_DIR,
      poolSize: env.DATABASE_POOL_SIZE,
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
    upstream: {
      baseUrl: env.ANTHROPIC_BASE_URL,
      deadlineMs: env.UPSTREAM_TIMEOUT_SECONDS * 1000,
      idleMs: env.UPSTREAM_IDLE_SECONDS * 1000,
    },
    limits: {
      requestsPerMinute: env.REQUESTS_PER_MINUTE,
      anonymousRequestsPerMinute: env.ANONYMOUS_REQUESTS_PER_MINUTE,
      registrationsPerHour: env.REGISTRATIONS_PER_HOUR,
      signInsPerMinute: env.SIGN_INS_PER_MINUTE,
      signInFailuresPerAccount: env.SIGN_IN_FAILURES_PER_ACCOUNT,
      redisUrl: env.REDIS_URL,
    },
    log: { level: env.LOG_LEVEL },
  }
}
