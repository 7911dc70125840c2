import type { ErrorRequestHandler, Request } from 'express'
import { AppError, toAppError, toErrorBody } from '../errors.ts'
import type { Logger } from '../log.ts'
import { MCP_PATH, OPEN_MCP_PATH } from '../network/mcp-addresses.ts'
import { INVALID_REQUEST, PARSE_ERROR, sendAppError, sendJsonRpcError } from './mcp/json-rpc.ts'

/** The error handler of all routes: turns what they throw into a status and JSON. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, req, res, next) => {
    if (res.headersSent) return next(thrown)
    const bodyError = describeBodyError(thrown)
    if (bodyError) {
      const { status, code, message } = bodyError
      return sendJsonRpcError(res, status, { code, message })
    }
    const error = toAppError(thrown)
    if (error.code === 'internal') log.error({ err: error }, 'request failed')
    if (isMcp(req)) return sendAppError(res, error)
    res.status(error.status).json(toErrorBody(error))
  }
}

/** For every address that no route has, and for those of forms when they are opened. */
export const notFound = () => {
  throw new AppError('not_found', `There is nothing at this address. MCP is at ${MCP_PATH}.`, {
    onPages: 'There is no page at this address. Begin at /account.',
  })
}

/** Matches every spelling that Express routes to the same path (case, trailing slash). */
export const isMcp = (req: Request) => MCP_PATHS.includes(req.path.toLowerCase().replace(/\/$/, ''))

const MCP_PATHS: readonly string[] = [MCP_PATH, OPEN_MCP_PATH]

/**
 * Describes why express.json refused a body. Its own messages quote the body, so they are replaced.
 */
function describeBodyError(thrown: unknown) {
  if (thrown instanceof AppError) return undefined
  const { type, status, explanation = '' } = (thrown ?? {}) as Record<string, unknown>
  if (type === 'entity.too.large') {
    const message = `The request body is too large. ${explanation}`.trim()
    return { status: 413, code: INVALID_REQUEST, message }
  }
  if (type === 'entity.too.many') {
    const message = `The request body has too many values. ${explanation}`.trim()
    return { status: 413, code: INVALID_REQUEST, message }
  }
  if (type === 'entity.too.deep') {
    return { status: 400, code: INVALID_REQUEST, message: 'The request body is nested too deeply.' }
  }
  if (type === 'entity.parse.failed') {
    return { status: 400, code: PARSE_ERROR, message: 'The request body is not valid JSON.' }
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, code: INVALID_REQUEST, message: 'The request body cannot be read.' }
  }
  return undefined
}
