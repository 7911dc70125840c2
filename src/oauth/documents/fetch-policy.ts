/**
 * The only outgoing requests of the authorization server: for a client's metadata document, whose
 * address is untrusted (OAuth Client ID Metadata Document, section 6: SSRF).
 *
 * https only; public addresses only (network/untrusted/reach-policy.ts); redirects are not followed;
 * time and size are limited.
 */

import { request } from 'node:https'
import { Outgoing, tunnelFailureOf } from '../../network/outgoing.ts'
import { ProxyUnreached } from '../../network/untrusted/fetch-reasons.ts'
import { addressOf, end, lookupOf, refuseInside } from '../../network/untrusted/reach-policy.ts'
import { VERSION } from '../../version.ts'

const MAX_BYTES = 16 * 1024
const WITHIN_MS = 2500
const USER_AGENT = `claude-api-gateway/${VERSION}`

type Options = {
  method?: 'GET' | 'HEAD'
  signal?: AbortSignal | null
  headers?: ConstructorParameters<typeof Headers>[0]
}
type Asked = { method: 'GET' | 'HEAD'; headers: Record<string, string>; signal: AbortSignal }

/**
 * `privateHosts`: names whose documents may be at private addresses; `outgoing`: direct by default.
 *
 * @throws Error saying why nothing was fetched; the provider answers `invalid_client`.
 */
export async function fetchUnderPolicy(
  given: string | URL,
  { method = 'GET', signal, headers }: Options,
  privateHosts: readonly string[],
  outgoing: Outgoing = new Outgoing(),
): Promise<Response> {
  const url = new URL(given)
  if (url.protocol !== 'https:') throw new Error('only https is fetched')
  const inTime = signal ?? AbortSignal.timeout(WITHIN_MS)
  const named = { ...Object.fromEntries(new Headers(headers)), 'user-agent': USER_AGENT }
  const asked: Asked = { method, headers: named, signal: inTime }
  if (outgoing.proxyFor(url) !== undefined) {
    await refuseInside(url.hostname, privateHosts, inTime)
    return getByProxy(url, asked, outgoing)
  }
  return get(url, await addressOf(url.hostname, privateHosts, inTime), asked)
}

async function getByProxy(url: URL, asked: Asked, outgoing: Outgoing): Promise<Response> {
  const answer = outgoing.requestByProxy(url, asked)
  // A request whose tunnel is still opening ignores its signal.
  const { status, headers, body } = await Promise.race([answer, end(asked.signal)]).catch(
    toUnreached,
  )
  const document = new Bounded()
  for await (const chunk of body) document.add(chunk)
  return document.toResponse(status, headers)
}

function toUnreached(error: unknown): never {
  const failure = tunnelFailureOf(error)
  throw failure && 'code' in failure ? new ProxyUnreached(failure.code) : error
}

function get(url: URL, address: string, { method, headers, signal }: Asked): Promise<Response> {
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        method,
        headers,
        signal,
        agent: false,
        lookup: lookupOf(address),
      },
      (answer) => {
        const document = new Bounded()
        answer.on('data', (chunk: Buffer) => {
          try {
            document.add(chunk)
          } catch (error) {
            answer.destroy(error as Error)
          }
        })
        answer.on('error', reject)
        answer.on('end', () => resolve(document.toResponse(answer.statusCode ?? 0, answer.headers)))
      },
    )
    call.on('error', reject)
    call.end()
  })
}

type HeaderFields = Record<string, string | string[] | undefined>

/** Collects the body of an answer, up to the size limit of a document. */
class Bounded {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  /** @throws Error when the limit is exceeded. */
  add(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_BYTES) throw new Error('the document is too large')
    this.#chunks.push(chunk)
  }

  toResponse(status: number, headers: HeaderFields): Response {
    const body = status === 200 ? Buffer.concat(this.#chunks) : null
    return new Response(body, { status, headers: cacheHeaders(headers) })
  }
}

/** The only headers of the answer that are used. */
function cacheHeaders(headers: HeaderFields): [string, string][] {
  const names = ['cache-control', 'expires', 'content-type']
  return names.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [[name, value] as [string, string]] : []
  })
}
