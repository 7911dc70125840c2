/** NO_PROXY: hosts that are reached directly although a proxy is set. */

import { BlockList, isIP } from 'node:net'
import { portOf } from '../text/url-port.ts'

/** One entry: all hosts, a name with its subdomains, an address, or a network. */
export type Bypass = {
  matches: (host: string) => boolean
  /** Undefined: any. */
  port: number | undefined
}

export function isBypassed(url: URL, entries: readonly Bypass[]): boolean {
  const host = bare(url.hostname)
  const given = portOf(url)
  return entries.some((entry) => (entry.port ?? given) === given && entry.matches(host))
}

/**
 * `*`, `example.com` and `.example.com` and `*.example.com` (all three include subdomains),
 * `10.0.0.7`, `[2001:db8::7]`, `10.0.0.0/8`; each but the last also with `:port`. Separated by
 * commas or blanks.
 *
 * @returns undefined for an invalid entry.
 */
export function parseBypass(text: string): Bypass | undefined {
  const network = /^\[?([0-9a-f.:]+)\]?\/(\d{1,3})$/i.exec(text)
  if (network) return toNetwork(network[1] ?? '', Number(network[2]))
  // More than one colon means an IPv6 address, which takes a port only after brackets.
  const isAddress = isIP(text) === 6
  const [, name = text, port] = isAddress ? [] : (/^(.*?)(?::(\d{1,5}))?$/.exec(text) ?? [])
  const host = bare(name).replace(/^\*?\./, '')
  if (host !== '*' && isIP(host) === 0 && !/^[\p{L}\p{N}_-]+(\.[\p{L}\p{N}_-]+)*$/u.test(host)) {
    return undefined
  }
  return { matches: toMatch(host), port: port === undefined ? undefined : Number(port) }
}

function toMatch(host: string): Bypass['matches'] {
  if (host === '*') return () => true
  if (isIP(host) === 6) return (asked) => isIP(asked) === 6 && toUrlForm(host) === asked
  return (asked) => asked === host || (isIP(asked) === 0 && asked.endsWith(`.${host}`))
}

function toNetwork(address: string, bits: number): Bypass | undefined {
  const family = isIP(address)
  if (family === 0 || bits > (family === 4 ? 32 : 128)) return undefined
  const kind = family === 4 ? 'ipv4' : 'ipv6'
  const network = new BlockList()
  network.addSubnet(address, bits, kind)
  return {
    matches: (host) => isIP(host) === family && network.check(host, kind),
    port: undefined,
  }
}

/** Normalizes a host: lower case, without the brackets of IPv6 and a trailing dot. */
const bare = (host: string) =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/(?<=.)\.$/, '')

const toUrlForm = (address: string) => bare(new URL(`http://[${address}]`).hostname)
