import { invalid } from './api-error.ts'
import type { Model } from './model-profiles.ts'
import type { ApiVersion, MessagesRequest } from './wire.ts'

const SAMPLING = ['temperature', 'top_p', 'top_k'] as const

/**
 * Sampling parameters are gone under 2026-10-21; under 2023-06-01 they work on some models only
 * (Anthropic API docs: Versioning).
 */
export function checkSampling(request: MessagesRequest, model: Model, version: ApiVersion): void {
  const given = SAMPLING.filter((parameter) => request[parameter] !== undefined)
  for (const parameter of given) {
    if (version === '2026-10-21') throw invalid(`${parameter}: Extra inputs are not permitted`)
    if (!model.sampling && !(parameter === 'temperature' && request.temperature === 1)) {
      throw invalid(`\`${parameter}\` is deprecated for this model.`)
    }
  }
  checkRanges(request)
  if (request.temperature != null && request.top_p != null) {
    throw invalid(
      '`temperature` and `top_p` cannot both be specified for this model. Please use only one.',
    )
  }
  if (thinks(request)) checkSamplingBesideThinking(request)
}

/** @throws ApiError 400 when `max_tokens` exceeds what the model can write. */
export function checkMaxTokens({ max_tokens }: MessagesRequest, model: Model): void {
  if (max_tokens <= model.maxOutputTokens) return
  throw invalid(
    `max_tokens: ${max_tokens} > ${model.maxOutputTokens}, which is the maximum allowed number of output tokens for ${model.id}`,
  )
}

function checkRanges({ temperature, top_p, top_k }: MessagesRequest): void {
  if (temperature != null && !isFraction(temperature)) throw invalid('temperature: range: 0..1')
  if (top_p != null && !isFraction(top_p)) throw invalid('top_p: range: 0..1')
  if (top_k != null && !(Number.isInteger(top_k) && top_k >= 0)) {
    throw invalid('top_k: Input should be an integer of at least 0')
  }
}

function isFraction(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= 1
}

function checkSamplingBesideThinking({ temperature, top_p, top_k }: MessagesRequest): void {
  if (temperature != null && temperature !== 1) {
    throw invalid('`temperature` may only be set to 1 when thinking is enabled.')
  }
  if (top_k != null) throw invalid('`top_k` must be unset when thinking is enabled.')
  if (top_p != null && top_p < 0.95) {
    throw invalid(
      '`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.',
    )
  }
}

function thinks({ thinking }: MessagesRequest): boolean {
  return thinking?.type === 'enabled' || thinking?.type === 'adaptive'
}
