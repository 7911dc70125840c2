/** Checks request parameters where the SDKs answer with a page of JSON, or an internal error. */

import { z } from 'zod'
import { check } from '../../text/problems.ts'

/** JSON-RPC 2.0, section 5.1. */
const INVALID_PARAMS = -32602

const cursor = z.object({ cursor: z.string().optional() }).optional()
const PARAMS: Record<string, z.ZodType> = {
  'tools/call': z.object({
    name: z.string(),
    arguments: z.record(z.string(), z.unknown()).optional(),
  }),
  'tools/list': cursor,
  'resources/list': cursor,
  'resources/templates/list': cursor,
  'resources/read': z.object({ uri: z.string() }),
}

/** @returns undefined for valid parameters, and for methods that are not checked. */
export function wrongParams(body: unknown) {
  const { jsonrpc, id, method, params } = Object(body) as Record<string, unknown>
  const isRequest = jsonrpc === '2.0' && (typeof id === 'string' || Number.isSafeInteger(id))
  // Parameters that are not an object are invalid MCP, which has an error code of its own.
  const isNamed = params === undefined || (Object(params) === params && !Array.isArray(params))
  const rule = typeof method === 'string' && isNamed ? PARAMS[method] : undefined
  const [problem] = (isRequest && rule && check(rule, params).problems) || []
  if (!problem) return undefined
  const { field } = problem
  const place = field === '' ? 'params' : `params.${field}`
  const advice = isOptional(field) ? '; leave it out for none' : ''
  const message = `Invalid params: ${place} ${problem.words}${advice}.`
  return { jsonrpc: '2.0', id, error: { code: INVALID_PARAMS, message } }
}

const isOptional = (field: string) => field === 'arguments' || field === 'cursor'
