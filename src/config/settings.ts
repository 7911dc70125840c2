import { z } from 'zod'
import { hostNames, listenHost, pageOrigins } from './setting-hosts.ts'
import {
  apiUrl,
  bareOrigin,
  count,
  databaseUrl,
  encryptionKey,
  flag,
  list,
  noProxy,
  proxyUrl,
  redisUrl,
  seconds,
  toolPrefix,
  trustProxy,
  usd,
  usernames,
} from './setting-values.ts'
import { USUAL_TOOL_PREFIX } from './tool-names.ts'

/**
 * Every setting, in the order of README.md and .env.example; a test compares them.
 * Blank counts as not set.
 */
export const SETTINGS = {
  HOST: listenHost
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
  EMBEDDED_DURABILITY: z
    .enum(['full', 'fast'])
    .default('full')
    .describe(
      'Of the embedded database: `full` acknowledges nothing that a power cut could take back; `fast` may lose the last second to one, and saves the disk some work.',
    ),
  DATABASE_URL: databaseUrl
    .optional()
    .describe(
      '`postgres://…`, version 14 or newer. Left out: the embedded database in `DATA_DIR`.',
    ),
  DATABASE_PASSWORD: z
    .string()
    .optional()
    .describe('Password for `DATABASE_URL`, as it is, where the URL has a user and no password.'),
  DATABASE_POOL_SIZE: count(1, 200).default(10).describe('Connections to PostgreSQL per process.'),
  DATABASE_POOLER: z
    .enum(['session', 'transaction'])
    .default('session')
    .describe(
      '`transaction` for a `DATABASE_URL` that leads to a pooler in transaction mode: nothing is kept in a session then, and replicas look for news once a second.',
    ),
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
    .describe('Life of a token of authenticate_user, in seconds.'),
  REGISTRATION: z.enum(['open', 'closed']).default('open').describe('`closed` refuses new users.'),
  VALIDATE_API_KEYS: flag
    .default(true)
    .describe('Prove an Anthropic key with Anthropic before it is stored.'),
  ADMIN_USERNAMES: usernames
    .default([])
    .describe(
      'Admins of the installation whom no page can unmake, comma separated. Nobody takes these names by registering: the start prints a link for one that has no account.',
    ),
  SHARING: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      '`off`: conversations belong to their owners alone. Nobody can share one, and what was shared before is closed until it is `on` again.',
    ),
  LINKS: z
    .enum(['off', 'signed-in', 'public'])
    .default('signed-in')
    .describe(
      'Who may open a link to a conversation: nobody (`off`), people with an account here (`signed-in`), or also everybody who has the link, where its owner made it so (`public`). `SHARING=off` closes links too.',
    ),
  PUBLIC_LINK_MAX_DAYS: count(1, 365)
    .default(30)
    .describe('How long a public link may work at most, in days. Other links: 365.'),
  WARN_HISTORY_TOKENS: count(0, 10_000_000)
    .default(50_000)
    .describe(
      "A contributor's first message in a conversation whose history is estimated to be longer has to confirm the cost.",
    ),
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
  MAX_STORED_BYTES_PER_USER: count(0, Number.MAX_SAFE_INTEGER)
    .default(1_073_741_824)
    .describe(
      'Most bytes of messages, titles and system prompts that are kept of a user. `0`: no limit.',
    ),
  IMPORT_MAX_MIB: count(1, 4096)
    .default(256)
    .describe(
      'Largest file of an import, and largest content of a zip, in MiB. A zip itself may have 64 MiB.',
    ),
  SEND_MEMORY_MIB: count(0, 65_536)
    .default(64)
    .describe(
      'Memory in which each process keeps the newest conversations, with the keys and limits of those who pay, sealed as in the database, so that it need not read them for the next message. `0`: none. Only with PostgreSQL and without `REDIS_URL`.',
    ),
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
    .describe(
      'Of a model without a known price, under a budget in USD: `refuse` does not use it, `allow` uses it and counts its tokens only.',
    ),
  PRICES_FILE: z
    .string()
    .optional()
    .describe(
      'JSON file of prices that add to or replace the built-in table (docs/OPERATIONS.md).',
    ),
  ANTHROPIC_BASE_URL: apiUrl.default('https://api.anthropic.com').describe('Where Claude is.'),
  HTTPS_PROXY: proxyUrl
    .optional()
    .describe(
      'Proxy for https addresses: Anthropic, receivers of webhooks, and the documents by which OAuth clients introduce themselves. `http://user:password@proxy.example:3128`; also read as `https_proxy`.',
    ),
  HTTP_PROXY: proxyUrl
    .optional()
    .describe('The same for http addresses, which only `ANTHROPIC_BASE_URL` may be.'),
  NO_PROXY: noProxy
    .default([])
    .describe(
      'Hosts to reach directly all the same, comma separated: `example.com` with all below it, `10.0.0.0/8`, `host:8443`, `*`.',
    ),
  UPSTREAM_TIMEOUT_SECONDS: seconds(1, 3600)
    .default(600)
    .describe('Longest time one answer may take.'),
  UPSTREAM_FIRST_TOKEN_SECONDS: seconds(1, 3600)
    .default(300)
    .describe(
      "Longest silence before an answer's first text, where Anthropic's pings count as life. Never less than `UPSTREAM_IDLE_SECONDS`.",
    ),
  UPSTREAM_IDLE_SECONDS: seconds(1, 3600)
    .default(60)
    .describe('Longest silence after that, where pings do not count.'),
  REQUESTS_PER_MINUTE: count(1, 1_000_000).default(60).describe('Per user.'),
  MESSAGES_API_REQUESTS_PER_MINUTE: count(1, 1_000_000)
    .default(600)
    .describe(
      'The same for `/v1/messages`, where agents make many calls for one request of a person.',
    ),
  CONCURRENT_CALLS_PER_USER: count(1, 1_000_000)
    .default(64)
    .describe(
      'Calls of a user that may wait for an answer at once, and answers that may be written for them, per process.',
    ),
  ANONYMOUS_REQUESTS_PER_MINUTE: count(1, 1_000_000)
    .default(60)
    .describe('Per address, for requests without a token.'),
  REGISTRATIONS_PER_HOUR: count(1, 1_000_000).default(10).describe('Per address.'),
  SIGN_INS_PER_MINUTE: count(1, 1_000_000).default(10).describe('Attempts per address.'),
  SEARCHES_PER_MINUTE: count(1, 1_000_000)
    .default(60)
    .describe('Of one user, in all conversations.'),
  SIGN_IN_FAILURES_PER_ACCOUNT: count(1, 1_000_000)
    .default(10)
    .describe('Wrong passwords per account in 15 minutes before it is paused.'),
  OAUTH_REQUESTS_PER_MINUTE: count(1, 1_000_000)
    .default(120)
    .describe('Per address, for each endpoint of OAuth.'),
  CLIENT_REGISTRATIONS_PER_HOUR: count(1, 1_000_000)
    .default(60)
    .describe('OAuth clients that register themselves, per address.'),
  REDIS_URL: redisUrl
    .optional()
    .describe('Keeps the rate-limit counters in Redis or Valkey instead of PostgreSQL.'),
  MCP_OPEN: z
    .enum(['on', 'off'])
    .default('on')
    .describe(
      '`off` closes `/mcp/open`, the address for clients without a token in the header; newcomers then sign up on the pages, not with register_user.',
    ),
  ALLOWED_HOSTS: hostNames
    .default([])
    .describe(
      'Further host names that `/mcp` answers to, besides loopback and the one of `PUBLIC_URL`.',
    ),
  ALLOWED_ORIGINS: pageOrigins
    .default([])
    .describe(
      'Web pages that may call `/mcp` from a browser, besides those of loopback and `PUBLIC_URL`: origins like `https://app.example`, or host names for every scheme and port.',
    ),
  CLIENT_ID_DOCUMENTS: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      'Whether OAuth clients may introduce themselves by a document at an address of theirs, as Claude Code does. `auto`: while the gateway reaches claude.ai and chatgpt.com, else they register; `on`: always; `off`: they always register.',
    ),
  PRIVATE_CLIENT_HOSTS: list
    .default([])
    .describe(
      'Host names at private addresses whose OAuth client documents may be fetched all the same.',
    ),
  TEAM_WEBHOOKS: z
    .enum(['on', 'off'])
    .default('off')
    .describe(
      '`on`: owners of teams may have programs elsewhere told what happens in their team. Admins of the installation always may, of everything.',
    ),
  WEBHOOK_ALLOW_HOSTS: hostNames
    .default([])
    .describe('Host names at private addresses to which webhooks may be sent all the same.'),
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
  MAX_BODY_BYTES: count(1024, 33_554_432)
    .default(4_194_304)
    .describe(
      'Largest request body; without a token in the `Authorization` header 256 KiB at most.',
    ),
  TOOL_PREFIX: toolPrefix
    .default(USUAL_TOOL_PREFIX)
    .describe(
      'What the names of the tools begin with in the list, at most 24 characters; `none` for nothing. One client can ask for that by itself with `/mcp?tools=short`.',
    ),
  MAX_TOOL_INPUT_ELEMENTS: count(10, 1_000_000)
    .default(10_000)
    .describe("Most values in one tool call's arguments."),
  METRICS: z
    .enum(['off', 'loopback', 'token'])
    .default('off')
    .describe(
      'Who may read `GET /metrics` (Prometheus): no client (`off`), this machine (`loopback`), or holders of `METRICS_TOKEN` (`token`).',
    ),
  METRICS_TOKEN: z
    .string()
    .min(16)
    .optional()
    .describe('Bearer token for `METRICS=token`, at least 16 characters.'),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent'])
    .default('info')
    .describe(
      'Least severe log line written: `fatal`, `error`, `warn`, `info`, `debug`, or `silent` for none.',
    ),
  DRAIN_SECONDS: seconds(0, 3600)
    .default(5)
    .describe(
      'On SIGTERM, how long requests are still served after `/readyz` has said no. On PostgreSQL only.',
    ),
  SHUTDOWN_GRACE_SECONDS: seconds(0, 3600)
    .default(30)
    .describe('After that, time for running answers and open requests to finish.'),
}

/** Settings that may be read from the file that `NAME_FILE` names. */
export const SECRET_SETTINGS = [
  'DATABASE_URL',
  'DATABASE_PASSWORD',
  'ENCRYPTION_KEY',
  'ENCRYPTION_KEYS_PREVIOUS',
  'HTTPS_PROXY',
  'HTTP_PROXY',
  'REDIS_URL',
  'METRICS_TOKEN',
] as const satisfies readonly (keyof typeof SETTINGS)[]
