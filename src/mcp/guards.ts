/**
 * Who may reach the gateway by which name, and from which web pages: a page of somebody else's could
 * otherwise lead its visitor's browser here by a name of its own (DNS rebinding; MCP, Streamable HTTP,
 * Security Warning). Whoever is refused is told which setting lets them in.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { validateHostHeader, validateOriginHeader } from '@modelcontextprotocol/server'

type Middleware = (req: IncomingMessage, res: ServerResponse, next: () => void) => void

/** @param names host names in small letters, IPv6 in brackets; a port does not matter. */
export function hostHeaderValidation(names: string[]): Middleware {
  return (req, res, next) => {
    const result = validateHostHeader(req.headers.host, names)
    if (result.ok) return next()
    const name = shown(result.hostname)
    refuse(
      res,
      name === undefined
        ? 'The Host header names no host.'
        : `This gateway does not answer to the name ${name}. If people are to reach it by that, its operator sets PUBLIC_URL to it, or adds it to ALLOWED_HOSTS.`,
    )
  }
}

/** @param origins `https://app.example`, or host names for every scheme and port, or `scheme://*`. */
export function originValidation(origins: string[]): Middleware {
  const whole = origins.filter((origin) => origin.includes('://'))
  return (req, res, next) => {
    const { origin } = req.headers
    if (whole.includes(origin?.toLowerCase() ?? '')) return next()
    if (validateOriginHeader(origin, origins).ok) return next()
    const name = shown(origin)
    refuse(
      res,
      name === undefined || name === 'null'
        ? 'Web pages without an origin of their own (Origin: null) may not call this gateway.'
        : `Web pages of ${name} may not call this gateway. To let them its operator adds ${name} to ALLOWED_ORIGINS.`,
    )
  }
}

/** What can be repeated of a header that anybody may have written. */
const shown = (text: string | undefined) =>
  text !== undefined && /^[\w.:/[\]-]{1,253}$/.test(text) ? text : undefined

function refuse(res: ServerResponse, message: string): void {
  res.writeHead(403, { 'Content-Type': 'application/json; charset=utf-8' })
  res.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }))
}
