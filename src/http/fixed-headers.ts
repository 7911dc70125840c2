import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'

type HeaderMiddleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Runs a middleware once at startup, records the headers it sets, and sets them on every response.
 * Only for middleware whose headers do not depend on the request.
 *
 * @throws Error when the middleware does not call `next` synchronously.
 */
export function fixedHeaders(middleware: HeaderMiddleware): RequestHandler {
  const headers = new Map<string, string>()
  const asked = {
    setHeader: (name: string, value: string) => headers.set(name, value),
    removeHeader: () => {},
  }
  let isAnswered = false
  middleware({} as IncomingMessage, asked as unknown as ServerResponse, (error) => {
    if (error) throw error
    isAnswered = true
  })
  if (!isAnswered) throw new Error('The middleware has to set its headers at once.')
  return (_req, res, next) => {
    for (const [name, value] of headers) res.setHeader(name, value)
    next()
  }
}
