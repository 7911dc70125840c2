import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { SETTINGS } from '../../src/config/settings.ts'

const KEY = Buffer.from('0b5e1f0c9ad34e7786f1c2d4a5b69788f9e0d1c2b3a4958677f60514233241aa', 'hex')
const OTHER_KEY = Buffer.from(KEY).reverse()
const POSTGRES = 'postgres://gateway:secret@db:5432/gateway'

type Name = keyof typeof SETTINGS
const names = Object.keys(SETTINGS) as Name[]

test('without any setting everything has its default', () => {
  expect(loadConfig({})).toEqual({
    http: {
      host: '127.0.0.1',
      port: 3000,
      publicUrl: 'http://127.0.0.1:3000',
      tls: undefined,
      trustProxy: false,
      maxBodyBytes: 4_194_304,
      allowedHosts: [],
      allowedOrigins: [],
      mcpOpen: true,
      metrics: { mode: 'off', token: undefined },
      drainSeconds: 5,
      shutdownGraceSeconds: 30,
    },
    mcp: { maxToolInputElements: 10_000, toolPrefix: 'claude-api-gateway_' },
    sharing: { isOn: true, links: 'signed-in', publicLinkMaxDays: 30 },
    oauth: { documentMode: 'auto', privateClientHosts: [] },
    webhooks: { isForTeams: false, allowHosts: [] },
    database: {
      url: undefined,
      dataDir: './data',
      durability: 'full',
      poolSize: 10,
      pooler: 'session',
      sharing: true,
    },
    secrets: { encryptionKey: undefined, encryptionKeysPrevious: [] },
    accounts: {
      registrationOpen: true,
      validateApiKeys: true,
      sessionSeconds: 3600,
      adminUsernames: [],
      threadPoolSize: 4,
    },
    chat: {
      defaultModel: 'claude-sonnet-5-5',
      defaultMaxTokens: 4096,
      defaultTemperature: undefined,
      retiredModels: 'refuse',
      maxMessagesSent: 100,
      warnHistoryTokens: 50_000,
      maxStoredBytes: 1_073_741_824,
      importMaxMib: 256,
      rememberedBytes: 64 * 1024 * 1024,
      pricesFile: undefined,
    },
    budgets: {
      defaults: {
        day: { nanoUsd: null, tokens: null },
        month: { nanoUsd: null, tokens: null },
      },
      unpricedModels: 'refuse',
    },
    outgoing: { noProxy: [] },
    upstream: {
      baseUrl: 'https://api.anthropic.com',
      deadlineMs: 600_000,
      firstTokenMs: 300_000,
      idleMs: 60_000,
    },
    limits: {
      requestsPerMinute: 60,
      messagesApiRequestsPerMinute: 600,
      concurrentCallsPerUser: 64,
      anonymousRequestsPerMinute: 60,
      registrationsPerHour: 10,
      signInsPerMinute: 10,
      searchesPerMinute: 60,
      signInFailuresPerAccount: 10,
      oauthRequestsPerMinute: 120,
      clientRegistrationsPerHour: 60,
      redisUrl: undefined,
    },
    log: { level: 'info' },
  })
})

/** One value other than the default for every setting, and what must come of it. */
const GOOD: Record<Name, [string, (config: ReturnType<typeof loadConfig>) => unknown, unknown]> = {
  HOST: ['0.0.0.0', ({ http }) => http.host, '0.0.0.0'],
  PORT: ['8080', ({ http }) => http.port, 8080],
  PUBLIC_URL: ['https://GW.example:443/', ({ http }) => http.publicUrl, 'https://gw.example'],
  DATA_DIR: ['/var/lib/gateway', ({ database }) => database.dataDir, '/var/lib/gateway'],
  EMBEDDED_DURABILITY: ['fast', ({ database }) => database.durability, 'fast'],
  DATABASE_URL: [POSTGRES, ({ database }) => database.url, POSTGRES],
  DATABASE_PASSWORD: [
    'hush',
    ({ database }) => database.url,
    'postgres://gateway:hush@db.example/gateway',
  ],
  DATABASE_POOL_SIZE: ['25', ({ database }) => database.poolSize, 25],
  DATABASE_POOLER: ['transaction', ({ database }) => database.pooler, 'transaction'],
  ENCRYPTION_KEY: [KEY.toString('base64'), ({ secrets }) => secrets.encryptionKey, KEY],
  ENCRYPTION_KEYS_PREVIOUS: [
    `${KEY.toString('hex')}, ${OTHER_KEY.toString('base64url')},`,
    ({ secrets }) => secrets.encryptionKeysPrevious,
    [KEY, OTHER_KEY],
  ],
  SESSION_TIMEOUT: ['60', ({ accounts }) => accounts.sessionSeconds, 60],
  REGISTRATION: ['closed', ({ accounts }) => accounts.registrationOpen, false],
  VALIDATE_API_KEYS: ['false', ({ accounts }) => accounts.validateApiKeys, false],
  ADMIN_USERNAMES: ['Ada , bob,,', ({ accounts }) => accounts.adminUsernames, ['ada', 'bob']],
  SHARING: ['off', ({ sharing }) => sharing.isOn, false],
  LINKS: ['public', ({ sharing }) => sharing.links, 'public'],
  PUBLIC_LINK_MAX_DAYS: ['7', ({ sharing }) => sharing.publicLinkMaxDays, 7],
  WARN_HISTORY_TOKENS: ['0', ({ chat }) => chat.warnHistoryTokens, 0],
  CLAUDE_MODEL: ['haiku', ({ chat }) => chat.defaultModel, 'haiku'],
  MAX_TOKENS: ['1', ({ chat }) => chat.defaultMaxTokens, 1],
  TEMPERATURE: ['0', ({ chat }) => chat.defaultTemperature, 0],
  RETIRED_MODELS: ['map', ({ chat }) => chat.retiredModels, 'map'],
  MAX_CONVERSATION_LENGTH: ['2', ({ chat }) => chat.maxMessagesSent, 2],
  MAX_STORED_BYTES_PER_USER: ['0', ({ chat }) => chat.maxStoredBytes, null],
  IMPORT_MAX_MIB: ['64', ({ chat }) => chat.importMaxMib, 64],
  SEND_MEMORY_MIB: ['2', ({ chat }) => chat.rememberedBytes, 2 * 1024 * 1024],
  BUDGET_USD_PER_DAY: ['2.50', ({ budgets }) => budgets.defaults.day.nanoUsd, 2_500_000_000n],
  BUDGET_USD_PER_MONTH: ['40', ({ budgets }) => budgets.defaults.month.nanoUsd, 40_000_000_000n],
  BUDGET_TOKENS_PER_DAY: ['1000', ({ budgets }) => budgets.defaults.day.tokens, 1000],
  BUDGET_TOKENS_PER_MONTH: ['20000', ({ budgets }) => budgets.defaults.month.tokens, 20_000],
  UNPRICED_MODELS: ['allow', ({ budgets }) => budgets.unpricedModels, 'allow'],
  PRICES_FILE: ['/etc/prices.json', ({ chat }) => chat.pricesFile, '/etc/prices.json'],
  ANTHROPIC_BASE_URL: [
    'http://proxy.example/anthropic/v1/',
    ({ upstream }) => upstream.baseUrl,
    'http://proxy.example/anthropic',
  ],
  HTTPS_PROXY: [
    'proxy.example:3128',
    ({ outgoing }) => outgoing.httpsProxy?.href,
    'http://proxy.example:3128/',
  ],
  HTTP_PROXY: [
    'https://ada:p%40ss@proxy.example/',
    ({ outgoing }) => outgoing.httpProxy?.href,
    'https://ada:p%40ss@proxy.example/',
  ],
  NO_PROXY: [
    'localhost, .example.com 10.0.0.0/8',
    ({ outgoing }) => outgoing.noProxy,
    ['localhost', '.example.com', '10.0.0.0/8'],
  ],
  UPSTREAM_TIMEOUT_SECONDS: ['90', ({ upstream }) => upstream.deadlineMs, 90_000],
  UPSTREAM_FIRST_TOKEN_SECONDS: ['90', ({ upstream }) => upstream.firstTokenMs, 90_000],
  UPSTREAM_IDLE_SECONDS: ['5', ({ upstream }) => upstream.idleMs, 5_000],
  REQUESTS_PER_MINUTE: ['7', ({ limits }) => limits.requestsPerMinute, 7],
  MESSAGES_API_REQUESTS_PER_MINUTE: ['7', ({ limits }) => limits.messagesApiRequestsPerMinute, 7],
  CONCURRENT_CALLS_PER_USER: ['7', ({ limits }) => limits.concurrentCallsPerUser, 7],
  ANONYMOUS_REQUESTS_PER_MINUTE: ['7', ({ limits }) => limits.anonymousRequestsPerMinute, 7],
  REGISTRATIONS_PER_HOUR: ['7', ({ limits }) => limits.registrationsPerHour, 7],
  SIGN_INS_PER_MINUTE: ['7', ({ limits }) => limits.signInsPerMinute, 7],
  SEARCHES_PER_MINUTE: ['8', ({ limits }) => limits.searchesPerMinute, 8],
  SIGN_IN_FAILURES_PER_ACCOUNT: ['7', ({ limits }) => limits.signInFailuresPerAccount, 7],
  OAUTH_REQUESTS_PER_MINUTE: ['9', ({ limits }) => limits.oauthRequestsPerMinute, 9],
  CLIENT_REGISTRATIONS_PER_HOUR: ['8', ({ limits }) => limits.clientRegistrationsPerHour, 8],
  REDIS_URL: ['rediss://cache:6379', ({ limits }) => limits.redisUrl, 'rediss://cache:6379'],
  MCP_OPEN: ['off', ({ http }) => http.mcpOpen, false],
  ALLOWED_HOSTS: [
    'a.example,b.example',
    ({ http }) => http.allowedHosts,
    ['a.example', 'b.example'],
  ],
  ALLOWED_ORIGINS: ['a.example', ({ http }) => http.allowedOrigins, ['a.example']],
  CLIENT_ID_DOCUMENTS: ['off', ({ oauth }) => oauth.documentMode, 'off'],
  TEAM_WEBHOOKS: ['on', ({ webhooks }) => webhooks.isForTeams, true],
  WEBHOOK_ALLOW_HOSTS: [
    'Hooks.internal, chat.internal',
    ({ webhooks }) => webhooks.allowHosts.join(),
    'hooks.internal,chat.internal',
  ],
  PRIVATE_CLIENT_HOSTS: [
    'Apps.internal, cimd.internal',
    ({ oauth }) => oauth.privateClientHosts.join(),
    'apps.internal,cimd.internal',
  ],
  TRUST_PROXY: ['2', ({ http }) => http.trustProxy, 2],
  TLS_CERT_FILE: ['cert.pem', ({ http }) => http.tls?.certFile, 'cert.pem'],
  TLS_KEY_FILE: ['key.pem', ({ http }) => http.tls?.keyFile, 'key.pem'],
  MAX_BODY_BYTES: ['1024', ({ http }) => http.maxBodyBytes, 1024],
  TOOL_PREFIX: ['none', ({ mcp }) => mcp.toolPrefix, ''],
  MAX_TOOL_INPUT_ELEMENTS: ['10', ({ mcp }) => mcp.maxToolInputElements, 10],
  METRICS: ['loopback', ({ http }) => http.metrics.mode, 'loopback'],
  METRICS_TOKEN: ['0123456789abcdef', ({ http }) => http.metrics.token, '0123456789abcdef'],
  LOG_LEVEL: ['silent', ({ log }) => log.level, 'silent'],
  DRAIN_SECONDS: ['0', ({ http }) => http.drainSeconds, 0],
  SHUTDOWN_GRACE_SECONDS: ['0', ({ http }) => http.shutdownGraceSeconds, 0],
}

/** What else a setting demands. */
const WITH: Partial<Record<Name, Record<string, string>>> = {
  DATABASE_URL: { ENCRYPTION_KEY: KEY.toString('hex') },
  DATABASE_PASSWORD: {
    DATABASE_URL: 'postgres://gateway@db.example/gateway',
    ENCRYPTION_KEY: KEY.toString('hex'),
  },
  TLS_CERT_FILE: { TLS_KEY_FILE: 'key.pem' },
  TLS_KEY_FILE: { TLS_CERT_FILE: 'cert.pem' },
}

describe.each(names)('%s', (name) => {
  const [text, read, expected] = GOOD[name]

  test('is read', () => {
    expect(read(loadConfig({ ...WITH[name], [name]: text }))).toEqual(expected)
    expect(read(loadConfig({}))).not.toEqual(expected)
  })

  test('may be surrounded by blanks, and blank is not set', () => {
    expect(read(loadConfig({ ...WITH[name], [name]: ` ${text}\n` }))).toEqual(expected)
    expect(loadConfig({ [name]: '  ' })).toEqual(loadConfig({}))
  })

  test('is described', () => expect(SETTINGS[name].description).toMatch(/^.{8,}\.$/s))
})

test('the rest of what is read', () => {
  const publicUrlOf = (env: Record<string, string>) => loadConfig(env).http.publicUrl
  expect(publicUrlOf({ HOST: '::1', PORT: '80' })).toBe('http://[::1]:80')
  expect(publicUrlOf({ TLS_CERT_FILE: 'c', TLS_KEY_FILE: 'k' })).toBe('https://127.0.0.1:3000')
  const trusted = ['false', '1', 'loopback', '10.0.0.0/8, fd00::/8', 'loopback,192.168.1.7']
  expect(trusted.map((text) => loadConfig({ TRUST_PROXY: text }).http.trustProxy)).toEqual([
    false,
    1,
    ...trusted.slice(2),
  ])
  expect(loadConfig({ UV_THREADPOOL_SIZE: '16' }).accounts.threadPoolSize).toBe(16)
  expect(loadConfig({ UNKNOWN_SETTING: 'x' })).toEqual(loadConfig({}))
})

test.each([
  ['::1', '::1', 'http://[::1]:3000'],
  ['[::1]', '::1', 'http://[::1]:3000'],
  ['::', '::', 'http://[::]:3000'],
  ['localhost', 'localhost', 'http://localhost:3000'],
  ['gateway_1.internal', 'gateway_1.internal', 'http://gateway_1.internal:3000'],
])('HOST=%s is listened on, and has an address of its own', (HOST, host, publicUrl) => {
  expect(loadConfig({ HOST }).http).toMatchObject({ host, publicUrl })
})

test('a first text may be waited for as long as the next one, at least', () => {
  const { upstream } = loadConfig({ UPSTREAM_IDLE_SECONDS: '400' })
  expect(upstream).toMatchObject({ firstTokenMs: 400_000, idleMs: 400_000 })
})

const NOT_WHOLE = ['1.5', 'many', '0x10zz', '-1', 'Infinity']
const badNumber = (...more: string[]) => [...NOT_WHOLE, ...more]

/** Values that are refused, by what the message must say. */
const BAD: Partial<Record<Name, [string[], RegExp]>> = {
  HOST: [
    ['http://127.0.0.1', '127.0.0.1:3000', '[::1]:3000', '0.0.0.0.0', 'my host', '*'],
    /must be an address or a host name of this machine alone/,
  ],
  PORT: [badNumber('65536'), /must be a whole number from 0 to 65535$/],
  PUBLIC_URL: [
    ['gw.example', 'ftp://gateway.example', 'https://gw.example/mcp', 'https://u:p@gw.example'],
    /must be a URL that begins with https:\/\/|scheme, host and port only/,
  ],
  EMBEDDED_DURABILITY: [['none', 'FULL'], /must be full or fast$/],
  DATABASE_URL: [
    ['mysql://u:hidden@h/d', 'localhost:5432', 'postgres://', './data.db'],
    /must look like postgres:\/\/user:password@host:5432\/database/,
  ],
  DATABASE_POOL_SIZE: [badNumber('0', '201'), /must be a whole number/],
  DATABASE_POOLER: [['statement', 'pgbouncer'], /must be session or transaction$/],
  ENCRYPTION_KEY: [
    ['hunter2-hunter2', 'your-32-byte-encryption-key', Buffer.alloc(32).toString('base64')],
    /encryption key.*openssl rand -base64 32/,
  ],
  ENCRYPTION_KEYS_PREVIOUS: [
    ['hunter2-hunter2', `${KEY.toString('hex')},hunter2-hunter2`],
    /encryption key.*openssl rand -base64 32/,
  ],
  SESSION_TIMEOUT: [
    badNumber('59', '31536001'),
    /must be a whole number of seconds from 60 to 31536000$/,
  ],
  SHARING: [['yes', 'ON'], /must be on or off$/],
  LINKS: [['on', 'Public'], /must be off, signed-in or public$/],
  PUBLIC_LINK_MAX_DAYS: [badNumber('0', '366'), /must be a whole number/],
  WARN_HISTORY_TOKENS: [badNumber('-1'), /must be a whole number/],
  REGISTRATION: [['yes', 'Open'], /must be open or closed$/],
  VALIDATE_API_KEYS: [['maybe', '2'], /must be true or false$/],
  ADMIN_USERNAMES: [
    ['ada lovelace', 'grace,bo,hopper', 'boss@corp.example'],
    /entry [12] can be no username: each must be 3 to 64 characters/,
  ],
  MAX_TOKENS: [badNumber('0', '1000001'), /must be a whole number/],
  TEMPERATURE: [['hot', '-0.1', '1.1'], /must be (a number|at least 0|at most 1)$/],
  RETIRED_MODELS: [['keep'], /must be refuse or map$/],
  MAX_CONVERSATION_LENGTH: [badNumber('1', '100001'), /must be a whole number/],
  MAX_STORED_BYTES_PER_USER: [badNumber(), /must be a whole number/],
  IMPORT_MAX_MIB: [badNumber(), /must be a whole number/],
  SEND_MEMORY_MIB: [badNumber(), /must be a whole number/],
  BUDGET_USD_PER_DAY: [['ten', '-1', '1e3', '0.1234567891'], /amount in USD/],
  BUDGET_USD_PER_MONTH: [['ten', '5 EUR', '1,000'], /amount in USD/],
  BUDGET_TOKENS_PER_DAY: [badNumber(), /must be a whole number/],
  BUDGET_TOKENS_PER_MONTH: [badNumber(), /must be a whole number/],
  UNPRICED_MODELS: [['maybe'], /must be refuse or allow$/],
  ANTHROPIC_BASE_URL: [
    ['claude.example', 'ws://api.anthropic.com'],
    /must be a URL that begins with https:\/\//,
  ],
  HTTPS_PROXY: [
    [
      'socks5://ada:hidden@proxy.example',
      'http://ada:hidden@',
      'http://ada:hidden%zz@proxy.example',
      'http://ada:hidden@proxy.example/path',
      'http://ada:hid/den@proxy.example:3128',
    ],
    /must look like http:\/\/proxy\.example:3128/,
  ],
  HTTP_PROXY: [['ftp://ada:hidden@proxy.example'], /must look like http:\/\/proxy\.example:3128/],
  NO_PROXY: [
    ['https://a.example', 'a.example, b.example/path', '10.0.0.0/33', 'x*', 'a..example'],
    /entry [12] can be no host: write example\.com/,
  ],
  UPSTREAM_TIMEOUT_SECONDS: [badNumber('0', '3601'), /must be a whole number/],
  UPSTREAM_FIRST_TOKEN_SECONDS: [badNumber('0', '3601'), /must be a whole number/],
  UPSTREAM_IDLE_SECONDS: [badNumber('0', '3601'), /must be a whole number/],
  REQUESTS_PER_MINUTE: [badNumber('0', '1000001'), /must be a whole number/],
  MESSAGES_API_REQUESTS_PER_MINUTE: [badNumber('0', '1000001'), /must be a whole number/],
  CONCURRENT_CALLS_PER_USER: [badNumber('0', '1000001'), /must be a whole number/],
  ANONYMOUS_REQUESTS_PER_MINUTE: [badNumber('0'), /must be a whole number/],
  REGISTRATIONS_PER_HOUR: [badNumber('0'), /must be a whole number/],
  SIGN_INS_PER_MINUTE: [badNumber('0'), /must be a whole number/],
  SEARCHES_PER_MINUTE: [badNumber('0'), /must be a whole number/],
  SIGN_IN_FAILURES_PER_ACCOUNT: [badNumber('0'), /must be a whole number/],
  OAUTH_REQUESTS_PER_MINUTE: [badNumber('0'), /must be a whole number/],
  CLIENT_REGISTRATIONS_PER_HOUR: [badNumber('0'), /must be a whole number/],
  REDIS_URL: [
    ['valkey:6379', 'http://valkey:6379', 'localhost'],
    /must be a URL that begins with redis:\/\//,
  ],
  MCP_OPEN: [['maybe', 'true'], /must be on or off$/],
  TEAM_WEBHOOKS: [['yes', 'owners'], /must be on or off$/],
  WEBHOOK_ALLOW_HOSTS: [['a b', 'https://hooks.internal/x'], /list host names, comma separated/],
  ALLOWED_HOSTS: [
    ['*', 'a.example, *.b.example', 'https://a.example/mcp', 'ada@a.example', 'a b'],
    /entry [12] is not understood: list host names/,
  ],
  ALLOWED_ORIGINS: [
    ['*', 'https://*', 'a.example, https://*.b.example', 'https://a.example/page', 'a.example:80x'],
    /entry [12] is not understood: list origins, comma separated, like https:\/\/app\.example/,
  ],
  CLIENT_ID_DOCUMENTS: [['yes', 'OFF'], /must be auto, on or off$/],
  TRUST_PROXY: [
    ['true', '0', 'proxy.example', '10.0.0.0/33', '10.0.0', '1.5', 'loopback,', 'loopback/8'],
    /number of proxies in front \(1\), or their addresses or subnets/,
  ],
  MAX_BODY_BYTES: [badNumber('1023', '33554433'), /must be a whole number/],
  TOOL_PREFIX: [
    ['a b', 'claude.', '1claude_', '-claude_', 'ä_', 'x'.repeat(25)],
    /must be none, or at most 24 letters, digits, _ and -/,
  ],
  MAX_TOOL_INPUT_ELEMENTS: [badNumber('9', '1000001'), /must be a whole number/],
  METRICS: [['on', 'public'], /must be off, loopback or token$/],
  METRICS_TOKEN: [['short-token-123'], /must have at least 16 characters$/],
  LOG_LEVEL: [['verbose', 'INFO'], /must be fatal, error, warn, info, debug or silent$/],
  DRAIN_SECONDS: [badNumber('3601'), /must be a whole number/],
  SHUTDOWN_GRACE_SECONDS: [badNumber('3601'), /must be a whole number/],
}

function complaintOf(env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (thrown) {
    if (thrown instanceof Error) return thrown.message
  }
  return 'was accepted'
}

const wrong = Object.entries(BAD).flatMap(([name, [values, says]]) =>
  values.map((value) => [name, value, says] as const),
)

test.each(wrong)('%s of %o is refused by name, saying what is wrong', (name, value, says) => {
  const ENCRYPTION_KEY = KEY.toString('hex')
  const complaint = complaintOf({ ENCRYPTION_KEY, [name]: value })
  const [head, ...lines] = complaint.split('\n')
  expect(head).toBe('These settings are wrong or missing:')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(new RegExp(`^  ${name}(\\.\\d+)?: .*(${says.source})`))
})

test('only settings that take any text at all have no wrong value', () => {
  expect(names.filter((name) => !(name in BAD))).toEqual([
    'DATA_DIR',
    'DATABASE_PASSWORD',
    'CLAUDE_MODEL',
    'PRICES_FILE',
    'PRIVATE_CLIENT_HOSTS',
    'TLS_CERT_FILE',
    'TLS_KEY_FILE',
  ])
})

test.each([
  ['sqlite:///./gateway.db'],
  ['sqlite:////var/lib/gateway.db'],
  ['sqlite+aiosqlite:///x'],
])('%s, as in other gateways, is refused with what to write instead', (DATABASE_URL) => {
  const complaint = complaintOf({ DATABASE_URL, ENCRYPTION_KEY: KEY.toString('hex') })
  expect(complaint).toMatch(/DATABASE_URL: SQLite is not supported: remove DATABASE_URL/)
  expect(complaint).toContain('DATA_DIR')
  expect(complaint).toContain('postgres://user:password@host:5432/database')
})

test.each([
  ['ENCRYPTION_KEY', { DATABASE_URL: POSTGRES }, /required with DATABASE_URL.*openssl rand/],
  ['TLS_KEY_FILE', { TLS_CERT_FILE: 'cert.pem' }, /required with TLS_CERT_FILE/],
  ['TLS_CERT_FILE', { TLS_KEY_FILE: 'key.pem' }, /required with TLS_KEY_FILE/],
  ['METRICS_TOKEN', { METRICS: 'token' }, /required with METRICS=token/],
])('%s is missed with %o', (name, env, says) => {
  const lines = complaintOf(env as Record<string, string>).split('\n')
  expect(lines).toHaveLength(2)
  expect(lines[1]).toMatch(new RegExp(`^  ${name}: .*${says.source}`))
})

test('all that is wrong is named at once, and no value is repeated', () => {
  const everyWrong = Object.fromEntries(
    Object.entries(BAD).map(([name, [values]]) => [name, values[0] as string]),
  )
  const complaint = complaintOf({ ...everyWrong, METRICS: 'token', TLS_CERT_FILE: 'cert.pem' })
  const named = [...complaint.matchAll(/^ {2}([A-Z_]+)/gm)].map(([, name]) => name)
  const expected = [...Object.keys(BAD).filter((name) => name !== 'METRICS'), 'TLS_KEY_FILE']
  expect(named.sort()).toEqual(expected.sort())
  for (const [name, value] of Object.entries(everyWrong)) {
    if (value.length > 5) expect(complaint, name).not.toContain(value)
  }
})

describe('a setting of earlier versions', () => {
  test.each([
    ['false', 'write MCP_OPEN=off instead'],
    ['0', 'write MCP_OPEN=off instead'],
    ['True', 'remove it: clients without one use /mcp/open'],
  ])('MCP_ANONYMOUS=%s stops the start, with what to write instead', (MCP_ANONYMOUS, says) => {
    expect(() => loadConfig({ MCP_ANONYMOUS })).toThrow(says)
  })

  test('is not there when it is blank, as Compose hands it on', () => {
    expect(loadConfig({ MCP_ANONYMOUS: ' ' })).toEqual(loadConfig({}))
  })
})
