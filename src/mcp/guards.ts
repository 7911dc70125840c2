/**
 * Checks which Host names and web origins may reach the gateway: a foreign page could otherwise use
 * its visitor's browser to call it under its own host name (DNS rebinding; MCP, Streamable HTTP,
 * Security Warning). The refusal names the setting that would allow the request.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { validateHostHeader, validateOriginHeader } from '@modelcontextprotocol/server'

type Middleware = (req: IncomingMessage, res: ServerResponse, next: () => void) => void

/** @param names lower-case host names, IPv6 in brackets; the port is ignored. */
export function hostHeaderValidation(names: string[]): Middleware {
  return (req, res, next) => {
    const problem = hostProblem(req.headers.host, names)
    if (problem === undefined) next()
    else refuse(res, problem)
  }
}

/** Why a Host header is refused; undefined for an allowed one. @param names as above. */
export function hostProblem(header: string | undefined, names: string[]): string | undefined {
  const result = validateHostHeader(header, names)
  if (result.ok) return undefined
  const name = shown(result.hostname)
  return name === undefined
    ? 'The Host header names no host.'
    : `This gateway does not answer to the name ${name}. If people are to reach it by that, its operator sets PUBLIC_URL to it, or adds it to ALLOWED_HOSTS.`
}

/** @param origins `https://app.example`, host names (any scheme and port), or `scheme://*`. */
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

/** The header's text if it is safe to repeat; headers can hold anything. */
const shown = (text: string | undefined) =>
  text !== undefined && /^[\w.:/[\]-]{1,253}$/.test(text) ? text : undefined

function refuse(res: ServerResponse, message: string): void {
  res.writeHead(403, { 'Content-Type': 'application/json; charset=utf-8' })
  res.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32000, message }, id: null }))
}
