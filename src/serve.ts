/** Reads the settings, serves, and stops on SIGTERM or SIGINT. */

import { join, resolve } from 'node:path'
import type { App } from './app.ts'
import { type Config, loadConfig } from './config/config.ts'
import { checkCertificate, checkDataDir, checkPricesFile } from './config/setting-files.ts'
import { NAME_IN_CLIENTS } from './config/tool-names.ts'
import type { Database } from './database/open.ts'
import { openConfiguredDatabase } from './database/open-configured.ts'
import type { Listening } from './http/listener/listen.ts'
import { createLogger, type Logger } from './log.ts'
import { isNameless, isOnlyThisComputer, isThisComputer } from './network/loopback.ts'
import { endOnSignals, type StopSignal, stopOnSignals } from './process/stop-signals.ts'
import { isUnderNpm, onNpmGone } from './process/under-npm.ts'
import { type StopTimes, stop, type UnderWay } from './stop.ts'
import { urlHost } from './text/url-host.ts'

/** How long a stop may exceed its limits, for last answers and writes. */
const STOP_MARGIN_MS = 10_000
const LAST_WORDS_MS = 1_000
const MOST_KEPT_SECONDS = 30
/** A database started together with the gateway may take a little longer. */
const DATABASE_PATIENCE_MS = 30_000

/**
 * @param settingsFile path of the file read into the environment, for the greeting.
 * @throws Error, AppError or ConfigError that says what to change.
 */
export async function serve(settingsFile?: string): Promise<void> {
  // As PID 1 of a container, a process has no default action for signals.
  const starting = endOnSignals()
  const config = loadConfig()
  checkDataDir(config.database)
  checkPricesFile(config.chat.pricesFile)
  checkCertificate(config.http.tls)
  const log = createLogger(config.log.level)
  // The embedded database compiles on other threads, while this one loads the rest.
  const [database, { createApp }, { listen }] = await Promise.all([
    openConfiguredDatabase(config, log, { onEnd: endWith(log), patienceMs: DATABASE_PATIENCE_MS }),
    import('./app.ts'),
    import('./http/listener/listen.ts'),
  ])
  const app = await createApp(config, { log, database })
  const keptSeconds = keptSecondsOf(config, app)
  const listening = await listen(app.http, { ...config.http, keptSeconds }).catch(
    async (error: unknown) => {
      await app.close(0)
      throw error
    },
  )
  starting.off()
  const stopNow = stopOnSignals({
    isUnderNpm: isUnderNpm(),
    onStop: (signal, hurry) =>
      void stopWithin(stopTimes(config, app, signal), app, listening, hurry),
  })
  onNpmGone(() => {
    log.warn('npm, which started the gateway, is gone')
    stopNow('SIGTERM')
  })
  process.on('SIGHUP', () => reloadCertificate(app, listening))
  const admins = await app.services.accountInvitations.inviteListed()
  greet(config, app, { url: listening.url, recovery: database.recovery, settingsFile, admins })
}

/** Exits after a delay, in which open calls still get an error response. */
function endWith(log: Logger): (err: unknown) => void {
  return (err) => {
    log.fatal({ err }, 'the embedded database has ended: so does the gateway. Start it again')
    setTimeout(() => process.exit(1), LAST_WORDS_MS)
  }
}

async function stopWithin(
  times: StopTimes,
  app: App,
  listening: Listening,
  hurry: AbortSignal,
): Promise<void> {
  app.log.info(times, 'stopping')
  setTimeout(() => process.exit(1), times.drainMs + times.graceMs + STOP_MARGIN_MS).unref()
  await stop(app, listening, times, hurry, (underWay) => {
    app.log.info(underWay, 'waiting for what is under way')
    process.stderr.write(`\n${waitingText(underWay, times.graceMs)}\n`)
  })
  app.log.info('stopped')
}

/** Explains after Ctrl-C why the process does not end at once. */
function waitingText({ answers, requests }: UnderWay, graceMs: number): string {
  const what = [
    ...(answers > 0
      ? [counted(answers, 'answer that Claude is writing', 'answers that Claude is writing')]
      : []),
    ...(requests > 0 ? [counted(requests, 'open request', 'open requests')] : []),
  ]
  return [
    `  Stopping. The gateway waits up to ${Math.ceil(graceMs / 1000)} s for ${what.join(' and ')}.`,
    '  Press Ctrl-C again to end at once: unfinished answers are then recorded as interrupted.',
  ].join('\n')
}

const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`

/**
 * The keep-alive timeout ends within the drain, so that no client sends its next request on a
 * connection that is being closed.
 */
function keptSecondsOf({ http }: Config, app: App): number | undefined {
  const drains = app.databaseKind === 'postgresql' && http.drainSeconds > 0
  return drains ? Math.min(http.drainSeconds, MOST_KEPT_SECONDS) : undefined
}

/** Drains only on SIGTERM with PostgreSQL: only then may other replicas take the requests. */
function stopTimes({ http }: Config, app: App, signal: StopSignal): StopTimes {
  const drains = signal === 'SIGTERM' && app.databaseKind === 'postgresql'
  return {
    drainMs: drains ? http.drainSeconds * 1000 : 0,
    graceMs: http.shutdownGraceSeconds * 1000,
  }
}

function reloadCertificate(app: App, listening: Listening): void {
  try {
    listening.reloadCertificate()
    app.log.info('certificate read again')
  } catch (err) {
    app.log.error({ err }, 'the certificate could not be read; the old one stays in use')
  }
}

type Start = {
  url: string
  recovery: Database['recovery']
  settingsFile: string | undefined
  /** Names in ADMIN_USERNAMES that have no account, and the links that make them one. */
  admins: { username: string; url: string }[]
}

function greet(config: Config, app: App, { url, recovery, settingsFile, admins }: Start): void {
  const { host, publicUrl, tls, trustProxy } = config.http
  const isEmbedded = app.databaseKind === 'embedded'
  const dataDir = resolve(config.database.dataDir)
  const isNamed = !isNameless(new URL(publicUrl).hostname)
  const address = !isNamed || publicUrl.endsWith(':0') ? url : publicUrl
  const lines = [
    '',
    '  Claude API Gateway is running.',
    '',
    `  MCP endpoint   ${url}/mcp`,
    isEmbedded ? `  Data           ${dataDir}` : '  Data           PostgreSQL (DATABASE_URL)',
    ...(settingsFile === undefined ? [] : [`  Settings       ${settingsFile}`]),
    `  Sign up        ${address}/`,
    `  Connect        claude mcp add --transport http ${NAME_IN_CLIENTS} ${address}/mcp`,
    `  Check          curl ${url}/health`,
    ...admins.flatMap(adminNotice),
    ...(isEmbedded ? embeddedNotice(config.database.durability) : []),
    ...(recovery ? recoveryWarning(recovery, dataDir) : []),
    ...(isNamed ? [] : NAMELESS_WARNING),
    ...(isExposed(host, tls !== undefined, trustProxy !== false) ? PLAIN_HTTP_WARNING : []),
    ...(isRefusedByClients(publicUrl) ? plainPublicUrlWarning(publicUrl) : []),
    '',
  ]
  // For people; programs read the JSON lines of the log on standard output.
  process.stderr.write(`${lines.join('\n')}\n`)
  app.log.info({ url: `${url}/mcp`, database: app.databaseKind }, 'listening')
  if (isRefusedByClients(publicUrl)) {
    app.log.warn({ publicUrl }, 'PUBLIC_URL is plain HTTP: browsers and OAuth clients refuse it')
  }
}

const adminNotice = ({ username, url }: Start['admins'][number]) => [
  '',
  `  ADMIN_USERNAMES: ${username} has no account yet. This link makes it one, once, within 3 days:`,
  `  ${url}`,
]

const embeddedNotice = (durability: Config['database']['durability']) => [
  '',
  '  Embedded database: for one process. Every hour it keeps a copy of itself in the same folder;',
  '  back that folder up. Set DATABASE_URL for a team or for more than one process.',
  ...(durability === 'fast'
    ? ['  EMBEDDED_DURABILITY=fast: a power cut may take back the last second.']
    : []),
]

const recoveryWarning = (
  { takenAt, asideIn }: NonNullable<Database['recovery']>,
  dataDir: string,
) => [
  '',
  '  WARNING: THE DATABASE WAS DAMAGED and did not open. The gateway went back to its last good copy,',
  `  of ${takenAt.toISOString()}. What was done after that is lost.`,
  ...(asideIn === undefined ? [] : [`  The damaged files are kept in ${join(dataDir, asideIn)}.`]),
]

const NAMELESS_WARNING = [
  '',
  '  Set PUBLIC_URL to the address that people use. Until then /mcp answers only under the names of',
  '  this machine for itself, and in ALLOWED_HOSTS.',
]

const PLAIN_HTTP_WARNING = [
  '',
  '  WARNING: listening beyond this machine in plain HTTP. Passwords, tokens and messages can be',
  '  read on the way. Set TLS_CERT_FILE and TLS_KEY_FILE, or put a TLS proxy in front and set',
  '  TRUST_PROXY.',
]

const plainPublicUrlWarning = (publicUrl: string) => [
  '',
  `  WARNING: PUBLIC_URL is ${publicUrl}, in plain HTTP. For anything but this machine browsers`,
  "  refuse the cookies' protection, and OAuth clients refuse the server. Set PUBLIC_URL to the",
  '  https:// address that people use, also when it is a proxy in front that serves it.',
]

function isExposed(host: string, hasTls: boolean, hasTrustedProxy: boolean): boolean {
  return !isOnlyThisComputer(urlHost(host)) && !hasTls && !hasTrustedProxy
}

/** Plain HTTP under a public name. A nameless address has its own warning. */
function isRefusedByClients(publicUrl: string): boolean {
  const { protocol, hostname } = new URL(publicUrl)
  return protocol === 'http:' && !isThisComputer(hostname)
}
