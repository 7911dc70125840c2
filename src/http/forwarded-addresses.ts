import { isIP, isIPv4, isIPv6 } from 'node:net'
import type { RequestHandler } from 'express'

/**
 * Strips ports from X-Forwarded-For: some proxies (Azure) add the port of the connection, and each
 * would count as a separate address. Whether the header is trusted is decided elsewhere.
 */
export const forwardedAddresses: RequestHandler = (req, _res, next) => {
  const given = req.headers['x-forwarded-for']
  if (given !== undefined && /[:[]/.test(String(given))) {
    const addresses = String(given).split(',')
    req.headers['x-forwarded-for'] = addresses.map((text) => withoutPort(text.trim())).join(', ')
  }
  next()
}

/** Text that is not an address, with or without a port, is returned unchanged. */
export function withoutPort(text: string): string {
  if (isIP(text) !== 0) return text
  const [, bracketed = '', plain = ''] = /^(?:\[(.*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(text) ?? []
  if (isIPv6(bracketed)) return bracketed
  return isIPv4(plain) ? plain : text
}
