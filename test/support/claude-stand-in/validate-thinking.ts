import { invalid } from './api-error.ts'
import type { Model } from './model-profiles.ts'
import { expectThat, forbidOthers } from './validate-shape.ts'
import type { MessagesRequest, ThinkingType } from './wire.ts'

const MIN_BUDGET_TOKENS = 1024

const UNSUPPORTED: Record<ThinkingType, string> = {
  enabled:
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.',
  disabled:
    '"thinking.type.disabled" is not supported for this model. Thinking is always on; use "output_config.effort" to control it.',
  adaptive: 'adaptive thinking is not supported on this model',
  between_tools: '"thinking.type.between_tools" is not supported for this model.',
}

/** Which thinking types a model takes, and at which effort (Anthropic API docs: Thinking). */
export function checkThinking(request: MessagesRequest, model: Model): void {
  const { thinking } = request
  if (thinking == null) return
  const { type, display, budget_tokens, ...rest } = thinking
  expectThat(
    Object.hasOwn(UNSUPPORTED, type ?? ''),
    'thinking.type',
    `one of ${Object.keys(UNSUPPORTED).join(', ')}`,
  )
  if (!model.thinking.includes(type)) throw invalid(UNSUPPORTED[type])
  forbidOthers(rest, `thinking.${type}`)
  if (type === 'enabled') checkBudget(request)
  else if (budget_tokens !== undefined) forbidOthers({ budget_tokens }, `thinking.${type}`)
  if (type === 'disabled' || type === 'between_tools') {
    if (display !== undefined) forbidOthers({ display }, `thinking.${type}`)
    checkQuietEffort(request, model)
  }
  if (display != null) {
    expectThat(
      ['summarized', 'omitted'].includes(display),
      'thinking.display',
      "'summarized' or 'omitted'",
    )
  }
}

/** @throws ApiError 400 for an effort level the model lacks. */
export function checkEffort({ output_config }: MessagesRequest, model: Model): void {
  const effort = output_config?.effort
  if (effort == null || model.efforts.includes(effort)) return
  throw invalid(
    model.efforts.length === 0
      ? 'This model does not support the effort parameter.'
      : `This model does not support effort level '${effort}'. Supported levels: ${model.efforts.join(', ')}.`,
  )
}

/** @throws ApiError 400 for a choice without tools, or a forced one where the model takes none. */
export function checkToolChoice({ tools, tool_choice }: MessagesRequest, model: Model): void {
  if (tool_choice == null) return
  const { type } = tool_choice
  expectThat(
    ['auto', 'any', 'tool', 'none'].includes(type),
    'tool_choice.type',
    'auto, any, tool or none',
  )
  if (!tools?.length) throw invalid('tool_choice: may only be specified while providing tools')
  if (!model.forcedTools && (type === 'any' || type === 'tool')) {
    throw invalid(`tool_choice.type: '${type}' is not supported for this model.`)
  }
}

function checkBudget({ thinking, max_tokens }: MessagesRequest): void {
  const budget = thinking?.budget_tokens
  if (budget === undefined) throw invalid('thinking.enabled.budget_tokens: Field required')
  const isEnough = Number.isInteger(budget) && budget >= MIN_BUDGET_TOKENS
  expectThat(
    isEnough,
    'thinking.enabled.budget_tokens',
    `an integer of at least ${MIN_BUDGET_TOKENS}`,
  )
  // count_tokens takes no max_tokens to compare with.
  if (max_tokens !== undefined && budget >= max_tokens) {
    throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`.')
  }
}

/** Little or no thinking excludes the two highest efforts on the models where thinking is the default. */
function checkQuietEffort({ thinking, output_config }: MessagesRequest, model: Model): void {
  const isHighest = output_config?.effort === 'xhigh' || output_config?.effort === 'max'
  const isBound = thinking?.type === 'between_tools' || model.id === 'claude-opus-5'
  if (!isHighest || !isBound) return
  throw invalid(
    `"thinking.type.${thinking?.type}" is not supported at effort '${output_config?.effort}'. Use effort 'high' or lower.`,
  )
}
