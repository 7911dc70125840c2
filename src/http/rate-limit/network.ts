import type { Request } from 'express'
import { ipKeyGenerator } from 'express-rate-limit'

/** The usual minimum assignment to a site (RFC 6177), and the smallest announced prefix. */
const IPV6_BITS = 48

/** Names the network that a request comes from: a /24 of IPv4, a /48 of IPv6. */
export function networkOf({ ip = '' }: Pick<Request, 'ip'>): string {
  const address = ip.replace(/^::ffff:(?=\d+\.)/i, '')
  if (address.includes(':')) return ipKeyGenerator(address, IPV6_BITS)
  return address.replace(/\.\d+$/, '.0/24')
}
