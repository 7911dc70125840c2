import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'

type HeaderMiddleware = (
  req: IncomingMessage,
  res: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Asks a middleware once, now, which headers it sets, and sets them from then on. Only for one that
 * sets the same headers whatever the request.
 *
 * @throws Error where it does not answer at once.
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
