import { isIP, isIPv4, isIPv6 } from 'node:net'
import type { RequestHandler } from 'express'

/**
 * Some proxies write the port of a connection into X-Forwarded-For (Azure), where each would count
 * as an address of its own. Whether the header is believed at all is decided elsewhere.
 */
export const forwardedAddresses: RequestHandler = (req, _res, next) => {
  const given = req.headers['x-forwarded-for']
  if (given !== undefined && /[:[]/.test(String(given))) {
    const addresses = String(given).split(',')
    req.headers['x-forwarded-for'] = addresses.map((text) => withoutPort(text.trim())).join(', ')
  }
  next()
}

/** What is no address, with or without a port, stays as it is. */
export function withoutPort(text: string): string {
  if (isIP(text) !== 0) return text
  const [, bracketed = '', plain = ''] = /^(?:\[(.*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(text) ?? []
  if (isIPv6(bracketed)) return bracketed
  return isIPv4(plain) ? plain : text
}
