/** Checks the outgoing connections: to Anthropic, to proxies, to Redis. */

import { connect } from 'node:net'
import { AnthropicClaude } from '../claude/client.ts'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import { tryRedis } from '../http/rate-limit/redis-stores.ts'
import { Outgoing } from '../network/outgoing.ts'
import type { Finding } from './finding.ts'

const WITHIN_MS = 10_000

/** Not a real key: Anthropic's refusal of it is the expected answer. */
const NO_KEY = 'sk-ant-api03-only-to-see-whether-anybody-answers'

/** Checks the path that messages take, up to a refusal by Anthropic itself. */
export async function checkUpstream({ upstream, outgoing: ways }: Config): Promise<Finding> {
  const setting = 'ANTHROPIC_BASE_URL'
  const outgoing = new Outgoing(ways)
  const proxy = outgoing.proxyFor(new URL(upstream.baseUrl))
  const where = `${upstream.baseUrl}${proxy ? `, through ${proxy},` : ''}`
  const deadlineMs = Math.min(upstream.deadlineMs, WITHIN_MS)
  const claude = new AnthropicClaude({ ...upstream, deadlineMs, outgoing })
  const error = await claude.proveKey(NO_KEY).catch((thrown: unknown) => thrown)
  await outgoing.close()
  // A self-hosted server may accept any key.
  const answers = error === undefined || codeOf(error) === 'invalid_api_key'
  if (answers) return { setting, state: 'ok', words: `${where} answers as Anthropic does` }
  return { setting, state: 'wrong', words: `${where} is of no use. ${whyNot(error)}` }
}

function whyNot(error: unknown): string {
  if (!(error instanceof AppError)) return String(error)
  const { network_error: code, upstream_status: status } = error.details ?? {}
  if (typeof code === 'string') {
    return `It cannot be reached (${code}). Correct the address or the proxy, or open the firewall.`
  }
  if (status === undefined) return `It does not answer within ${WITHIN_MS / 1000} s.`
  return `${error.message} (HTTP ${status})`
}

const codeOf = (error: unknown) => (error instanceof AppError ? error.code : undefined)

/** Whether the proxy accepts connections. {@link checkUpstream} shows what it lets through. */
export async function checkProxies(
  { outgoing }: Config,
  setting: 'HTTPS_PROXY' | 'HTTP_PROXY',
): Promise<Finding | undefined> {
  const proxy = setting === 'HTTPS_PROXY' ? outgoing.httpsProxy : outgoing.httpProxy
  if (!proxy) return undefined
  const host = proxy.hostname.replace(/^\[|\]$/g, '')
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80))
  const code = await connectionError(host, port)
  if (code === undefined) return { setting, state: 'ok', words: `${proxy.host} takes connections` }
  const words = `${proxy.host} cannot be reached (${code}). Correct it, or remove it.`
  return { setting, state: 'wrong', words }
}

/** The system's error code; undefined when it connects. */
function connectionError(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: WITHIN_MS })
    const end = (code?: string) => {
      socket.destroy()
      resolve(code)
    }
    socket.once('connect', () => end())
    socket.once('timeout', () => end('ETIMEDOUT'))
    socket.once('error', ({ code }: NodeJS.ErrnoException) => end(code ?? 'unknown'))
  })
}

export async function checkRedis({ limits }: Config): Promise<Finding | undefined> {
  const setting = 'REDIS_URL'
  if (limits.redisUrl === undefined) return undefined
  const { host } = new URL(limits.redisUrl)
  try {
    await tryRedis(limits.redisUrl, WITHIN_MS)
    return { setting, state: 'ok', words: `${host} answers` }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const words = `${host} is of no use (${code ?? message}). Correct host, port, user and password; rediss:// is with TLS.`
    return { setting, state: 'wrong', words }
  }
}
