/**
 * The only way in which the authorization server reaches out: for a client's metadata document,
 * whose address an unknown person chose (OAuth Client ID Metadata Document, section 6: SSRF).
 *
 * https only; public addresses only, resolved once and connected to as resolved, so that a second
 * answer of a hostile name server changes nothing; no redirect is followed; time and size bounded.
 */

import { request } from 'node:https'
import { BlockList, isIPv6 } from 'node:net'
import { resolveHost } from './resolve-host.ts'

const MAX_BYTES = 16 * 1024

/** IANA special-purpose address registries: what is not an address of the public internet. */
const SPECIAL_IPV4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Only 2000::/3 is given out; within it, what tunnels to other addresses or is documentation. */
const SPECIAL_IPV6: readonly [string, number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [net, prefix] of SPECIAL_IPV4) special.addSubnet(net, prefix, 'ipv4')
for (const [net, prefix] of SPECIAL_IPV6) special.addSubnet(net, prefix, 'ipv6')
const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')

export function isPublicAddress(address: string): boolean {
  if (!isIPv6(address)) return !special.check(address, 'ipv4')
  return globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

type Options = { signal?: AbortSignal | null; headers?: ConstructorParameters<typeof Headers>[0] }

/**
 * `privateHosts`: names whose documents may lie at private addresses.
 *
 * @throws Error saying why nothing was fetched; the provider answers `invalid_client`.
 */
export async function fetchUnderPolicy(
  given: string | URL,
  { signal, headers }: Options,
  privateHosts: readonly string[],
): Promise<Response> {
  const url = new URL(given)
  if (url.protocol !== 'https:') throw new Error('only https is fetched')
  const inTime = signal ?? AbortSignal.timeout(2500)
  const address = await Promise.race([resolveOnce(url.hostname, privateHosts), end(inTime)])
  return get(url, address, new Headers(headers), inTime)
}

/** Rejects when the time is over. */
const end = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    const over = () => reject(signal.reason)
    if (signal.aborted) over()
    else signal.addEventListener('abort', over, { once: true })
  })

async function resolveOnce(hostname: string, privateHosts: readonly string[]): Promise<string> {
  const name = hostname.replace(/^\[|\]$/g, '')
  const isAllowed = privateHosts.includes(name.toLowerCase())
  const addresses = await resolveHost(name, isAllowed)
  const [first] = addresses
  if (first === undefined) throw new Error('the host has no address')
  if (!isAllowed && !addresses.every(isPublicAddress)) {
    throw new Error('the host has an address that is not public')
  }
  return first
}

function get(url: URL, address: string, headers: Headers, signal: AbortSignal): Promise<Response> {
  const family = isIPv6(address) ? 6 : 4
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      {
        headers: Object.fromEntries(headers),
        signal,
        agent: false,
        // Node asks for all addresses or for one, depending on its version.
        lookup: (_name, options, found) =>
          options.all ? found(null, [{ address, family }]) : found(null, address, family),
      },
      (answer) => {
        const { statusCode: status = 0 } = answer
        const chunks: Buffer[] = []
        let bytes = 0
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > MAX_BYTES) answer.destroy(new Error('the document is too large'))
          else chunks.push(chunk)
        })
        answer.on('error', reject)
        answer.on('end', () => {
          const body = status === 200 ? Buffer.concat(chunks) : null
          resolve(new Response(body, { status, headers: cacheHeaders(answer.headers) }))
        })
      },
    )
    call.on('error', reject)
    call.end()
  })
}

/** All that is looked at of the answer's headers. */
function cacheHeaders(headers: Record<string, string | string[] | undefined>): [string, string][] {
  const names = ['cache-control', 'expires', 'content-type']
  return names.flatMap((name) => {
    const value = headers[name]
    return typeof value === 'string' ? [[name, value] as [string, string]] : []
  })
}
