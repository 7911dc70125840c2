import type { RequestHandler } from 'express'

const REQUEST_HEADERS = [
  'Authorization',
  'Content-Type',
  'Accept',
  'MCP-Protocol-Version',
  'Mcp-Method',
  'Mcp-Name',
  'Mcp-Session-Id',
  'Last-Event-ID',
].join(', ')

const EXPOSED_HEADERS = 'WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id'
const PREFLIGHT_SECONDS = '7200'

/**
 * Lets a web page read the answers (Fetch standard: CORS protocol). Whether its origin is allowed
 * was checked before. Without credentials: a page needs a token like any other client.
 */
export const cors: RequestHandler = (req, res, next) => {
  const { origin } = req.headers
  if (origin === undefined) return next()
  res.vary('Origin')
  res.setHeader('Access-Control-Allow-Origin', origin)
  res.setHeader('Access-Control-Expose-Headers', EXPOSED_HEADERS)
  if (req.method !== 'OPTIONS') return next()
  res.setHeader('Access-Control-Allow-Methods', 'POST')
  res.setHeader('Access-Control-Allow-Headers', REQUEST_HEADERS)
  res.setHeader('Access-Control-Max-Age', PREFLIGHT_SECONDS)
  res.status(204).end()
}
