import { ApiError, invalid } from './api-error.ts'
import type { Model } from './model-profiles.ts'
import { findModel, MODELS } from './models.ts'

const LIFECYCLES = ['active', 'deprecated', 'retired']
const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1000

/**
 * `GET /v1/models`: newest first, retired models only when `lifecycle` asks for them.
 *
 * @throws ApiError 400 for a bad limit, cursor or lifecycle.
 */
export function listModels(query: URLSearchParams) {
  const models = MODELS.filter(({ lifecycle }) => lifecyclesOf(query).includes(lifecycle))
  const [from, to] = window(models, query)
  const data = models.slice(from, to).map(modelInfo)
  return {
    data,
    has_more: query.has('before_id') ? from > 0 : to < models.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  }
}

/** `GET /v1/models/{id}`: resolves aliases. @throws ApiError 404 for an unknown id. */
export function retrieveModel(id: string) {
  const model = findModel(id)
  if (!model) throw new ApiError(404, `model: ${id}`)
  return modelInfo(model)
}

function lifecyclesOf(query: URLSearchParams): string[] {
  const asked = [...query.getAll('lifecycle'), ...query.getAll('lifecycle[]')]
  const bad = asked.find((value) => !LIFECYCLES.includes(value))
  if (bad !== undefined) throw invalid(`lifecycle: Input should be ${LIFECYCLES.join(', ')}`)
  return asked.length > 0 ? asked : ['active', 'deprecated']
}

function window(models: Model[], query: URLSearchParams): [from: number, to: number] {
  const limit = Number(query.get('limit') ?? DEFAULT_LIMIT)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalid(`limit: Input should be an integer from 1 to ${MAX_LIMIT}`)
  }
  const before = query.get('before_id')
  if (before !== null) {
    const end = positionOf(models, before)
    return [Math.max(0, end - limit), end]
  }
  const after = query.get('after_id')
  const start = after === null ? 0 : positionOf(models, after) + 1
  return [start, Math.min(start + limit, models.length)]
}

function positionOf(models: Model[], id: string): number {
  const position = models.findIndex((model) => model.id === id)
  if (position < 0) throw invalid(`Invalid cursor: ${id}`)
  return position
}

function modelInfo(model: Model) {
  const retired = model.lifecycle === 'retired'
  return {
    type: 'model',
    id: model.id,
    display_name: model.name,
    created_at: `${model.createdOn}T00:00:00Z`,
    lifecycle: model.lifecycle,
    deprecated_at: model.deprecatedOn ? `${model.deprecatedOn}T00:00:00Z` : null,
    retires_at: model.retiresOn ? `${model.retiresOn}T00:00:00Z` : null,
    line: model.line,
    max_input_tokens: retired ? null : model.contextTokens,
    max_tokens: retired ? null : model.maxOutputTokens,
    capabilities: retired ? null : capabilities(model),
  }
}

function capabilities({ thinking, efforts, line, sampling, prefill }: Model) {
  const yes = { supported: true }
  const effort = (level: (typeof efforts)[number]) => ({ supported: efforts.includes(level) })
  const type = (name: (typeof thinking)[number]) => ({ supported: thinking.includes(name) })
  const compacts = { supported: !prefill }
  return {
    batch: yes,
    citations: yes,
    code_execution: yes,
    context_management: {
      supported: true,
      clear_thinking_20251015: yes,
      clear_tool_uses_20250919: yes,
      compact_20260112: compacts,
    },
    effort: {
      supported: efforts.length > 0,
      low: effort('low'),
      medium: effort('medium'),
      high: effort('high'),
      xhigh: sampling ? null : effort('xhigh'),
      max: effort('max'),
    },
    image_input: yes,
    pdf_input: yes,
    server_tools: {
      supported: true,
      web_search: yes,
      code_execution: { supported: line !== 'haiku' },
    },
    structured_outputs: yes,
    thinking: {
      supported: true,
      types: {
        adaptive: type('adaptive'),
        between_tools: type('between_tools'),
        disabled: type('disabled'),
        enabled: type('enabled'),
      },
    },
  }
}
