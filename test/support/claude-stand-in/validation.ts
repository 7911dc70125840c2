import { ApiError, invalid } from './api-error.ts'
import { checkWithoutExtras } from './extras.ts'
import type { Model } from './model-profiles.ts'
import { findModel } from './models.ts'
import { type Prompt, promptOf } from './tokens.ts'
import { checkBreakpoints } from './validate-breakpoints.ts'
import * as messages from './validate-messages.ts'
import { checkMaxTokens, checkSampling } from './validate-sampling.ts'
import { checkFieldTypes } from './validate-shape.ts'
import { checkEffort, checkThinking, checkToolChoice } from './validate-thinking.ts'
import type { ApiVersion, Endpoint, MessagesRequest } from './wire.ts'

export interface Checked {
  request: MessagesRequest
  model: Model
  prompt: Prompt
}

const COUNT_FIELDS = [
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'cache_control',
  'speed',
  'context_management',
]
const SAMPLING_FIELDS = ['temperature', 'top_p', 'top_k']
const MESSAGES_FIELDS = [
  ...COUNT_FIELDS,
  ...SAMPLING_FIELDS,
  'max_tokens',
  'stream',
  'stop_sequences',
  'metadata',
  'service_tier',
  'inference_geo',
  'container',
  'diagnostics',
]
const FIELDS = { messages: new Set(MESSAGES_FIELDS), count_tokens: new Set(COUNT_FIELDS) }
const REQUIRED = {
  messages: ['model', 'max_tokens', 'messages'],
  count_tokens: ['model', 'messages'],
}

/** An escaped lone surrogate: `JSON.stringify` escapes surrogates only when they have no partner. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/

/**
 * Judges a request body in the order the API does, so that the first fault is the one reported.
 *
 * @throws ApiError with the API's status, type and (where known) wording.
 */
export function checkRequest(
  json: object,
  endpoint: Endpoint,
  version: ApiVersion,
  hasBeta = false,
): Checked {
  if (!hasBeta) return check(json, endpoint, version)
  return checkWithoutExtras(json, (pruned) => check(pruned, endpoint, version))
}

function check(json: object, endpoint: Endpoint, version: ApiVersion): Checked {
  const body = json as Record<string, unknown>
  checkFields(body, endpoint)
  checkFieldTypes(body)
  const request = body as unknown as MessagesRequest
  if (request.messages.length === 0) throw invalid('messages: at least one message is required')

  const model = callableModel(request.model)
  checkSampling(request, model, version)
  if (endpoint === 'messages') checkMaxTokens(request, model)
  checkThinking(request, model)
  checkEffort(request, model)
  checkToolChoice(request, model)
  messages.checkShapes(request, version)
  messages.checkRoles(request, model)
  messages.checkContent(request)
  messages.checkSignatures(request, model)
  messages.checkEnds(request, model)
  const prompt = promptOf(request, model)
  checkBreakpoints(request, prompt)
  checkWindow(prompt, model)
  return { request, model, prompt }
}

/** @throws ApiError 400 unless `json`, parsed from `text`, is an object without lone surrogates. */
export function requireObject(json: unknown, text: string): object {
  if (json === undefined) throw invalid('The request body is not valid JSON.')
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalid('The request body is not a JSON object.')
  }
  if (text.includes('\\u') && LONE_SURROGATE.test(JSON.stringify(json))) {
    throw invalid('The request body is not valid JSON: no low surrogate in string')
  }
  return json
}

function checkFields(body: Record<string, unknown>, endpoint: Endpoint): void {
  const extra = Object.keys(body).find((field) => !FIELDS[endpoint].has(field))
  if (extra !== undefined) throw invalid(`${extra}: Extra inputs are not permitted`)
  const missing = REQUIRED[endpoint].find((field) => body[field] === undefined)
  if (missing !== undefined) throw invalid(`${missing}: Field required`)
}

function callableModel(id: string): Model {
  const model = findModel(id)
  if (!model || model.lifecycle === 'retired') throw new ApiError(404, `model: ${id}`)
  return model
}

function checkWindow({ totalTokens }: Prompt, { contextTokens }: Model): void {
  if (totalTokens <= contextTokens) return
  throw invalid(`prompt is too long: ${totalTokens} tokens > ${contextTokens} maximum`)
}
