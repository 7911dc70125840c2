import type { Response } from 'express'
import type { AppError } from '../../errors.ts'
import { toErrorBody } from '../../errors.ts'

/** JSON-RPC 2.0 section 5.1, including its range for implementation-defined server errors. */
export const PARSE_ERROR = -32700
export const INVALID_REQUEST = -32600
export const SERVER_ERROR = -32000

export type JsonRpcError = { code: number; message: string; data?: unknown }

/** An error that an MCP client can read although the request did not reach the protocol layer. */
export function sendJsonRpcError(
  res: Response,
  status: number,
  error: JsonRpcError,
  id: string | number | null = null,
): void {
  res.status(status).json({ jsonrpc: '2.0', id, error })
}

/** The same for one of the gateway's own errors, with its code in `data`. */
export function sendAppError(
  res: Response,
  error: AppError,
  id: string | number | null = null,
): void {
  if (error.retryAfterSeconds !== undefined) {
    res.setHeader('Retry-After', String(error.retryAfterSeconds))
  }
  const { error: data } = toErrorBody(error)
  sendJsonRpcError(res, error.status, { code: SERVER_ERROR, message: error.message, data }, id)
}
