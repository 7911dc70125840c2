/** Checks request parameters where the SDKs answer with a page of JSON, or an internal error. */

import { z } from 'zod'
import { check } from '../../text/problems.ts'
import { type Features, isAnyCompleted } from '../features.ts'

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
/** Of a server that has prompts, or completes values: others do not know these methods. */
const PROMPT_PARAMS: Record<string, z.ZodType> = {
  'prompts/list': cursor,
  'prompts/get': z.object({
    name: z.string(),
    arguments: z.record(z.string(), z.string()).optional(),
  }),
}
const COMPLETION_PARAMS: Record<string, z.ZodType> = {
  'completion/complete': z.object({
    ref: z.union([
      z.object({ type: z.literal('ref/prompt'), name: z.string() }),
      z.object({ type: z.literal('ref/resource'), uri: z.string() }),
    ]),
    argument: z.object({ name: z.string(), value: z.string() }),
    context: z.object({ arguments: z.record(z.string(), z.string()).optional() }).optional(),
  }),
}

const rulesFor = (features: Features) => ({
  ...PARAMS,
  ...(features.prompts.length === 0 ? {} : PROMPT_PARAMS),
  ...(isAnyCompleted(features) ? COMPLETION_PARAMS : {}),
})

/** The check returns undefined for valid parameters, and for methods that are not checked. */
export function createParamsCheck(features: Features) {
  const rules: Record<string, z.ZodType> = rulesFor(features)
  return (body: unknown) => wrongParams(rules, body)
}

function wrongParams(rules: Record<string, z.ZodType>, body: unknown) {
  const { jsonrpc, id, method, params } = Object(body) as Record<string, unknown>
  const isRequest = jsonrpc === '2.0' && (typeof id === 'string' || Number.isSafeInteger(id))
  // Parameters that are not an object are invalid MCP, which has an error code of its own.
  const isNamed = params === undefined || (Object(params) === params && !Array.isArray(params))
  const rule = typeof method === 'string' && isNamed ? rules[method] : undefined
  const [problem] = (isRequest && rule && check(rule, params).problems) || []
  if (!problem) return undefined
  const { field } = problem
  const place = field === '' ? 'params' : `params.${field}`
  const advice = isOptional(field) ? '; leave it out for none' : ''
  const message = `Invalid params: ${place} ${problem.words}${advice}.`
  return { jsonrpc: '2.0', id, error: { code: INVALID_PARAMS, message } }
}

const isOptional = (field: string) => field === 'arguments' || field === 'cursor'
