/**
 * Where a request to an untrusted address may go (SSRF): public addresses only, resolved once and
 * connected to as resolved, which prevents DNS rebinding.
 *
 * A proxy resolves names itself, and its own rules decide where it connects to. Hosts known here to
 * be internal are still not requested from it.
 */

import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { NotPublic } from './fetch-reasons.ts'
import { isPublicAddress } from './public-addresses.ts'
import { resolveHost } from './resolve-host.ts'

/** How long local DNS may take to identify an internal name before the proxy is asked. */
const OWN_NAMES_MS = 500

/**
 * The address to connect to.
 *
 * @param privateHosts names that may lie at private addresses.
 * @throws NotPublic; Error when there is none, or when the signal aborts.
 */
export const addressOf = (
  hostname: string,
  privateHosts: readonly string[],
  signal: AbortSignal,
): Promise<string> => Promise.race([resolveOnce(hostname, privateHosts), end(signal)])

/** The same before a proxy is asked: a name that local DNS does not know is left to it. */
export const refuseInside = (
  hostname: string,
  privateHosts: readonly string[],
  signal: AbortSignal,
): Promise<void> => Promise.race([refuseKnownInside(hostname, privateHosts), end(signal)])

/** The `lookup` of a request that connects to this address without resolving the name again. */
export function lookupOf(address: string) {
  const family = isIPv6(address) ? 6 : 4
  // Depending on its version, Node asks for all addresses or for one.
  return (_name: string, options: { all?: boolean | undefined }, found: Found) =>
    options.all ? found(null, [{ address, family }]) : found(null, address, family)
}

type Found = (
  error: null,
  address: string | { address: string; family: number }[],
  family?: number,
) => void

/** Rejects on abort or timeout. */
export const end = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    const over = () => reject(signal.reason)
    if (signal.aborted) over()
    else signal.addEventListener('abort', over, { once: true })
  })

/** Whether a URL's host is listed, with or without the brackets of IPv6. */
export const isListed = (hostname: string, privateHosts: readonly string[]): boolean =>
  privateHosts.some((listed) => bare(listed) === bare(hostname))

async function resolveOnce(hostname: string, privateHosts: readonly string[]): Promise<string> {
  const isAllowed = isListed(hostname, privateHosts)
  const addresses = await resolveHost(bare(hostname), isAllowed)
  const [first] = addresses
  if (first === undefined) throw new Error('the host has no address')
  if (!isAllowed && !addresses.every(isPublicAddress)) throw new NotPublic()
  return first
}

async function refuseKnownInside(hostname: string, privateHosts: readonly string[]): Promise<void> {
  if (isListed(hostname, privateHosts)) return
  const known = resolveHost(bare(hostname), false).catch((): string[] => [])
  const unknown = sleep(OWN_NAMES_MS, [], { ref: false })
  const addresses = await Promise.race([known, unknown])
  if (!addresses.every(isPublicAddress)) throw new NotPublic()
}

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '').toLowerCase()
