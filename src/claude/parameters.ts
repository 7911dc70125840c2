/** Adapts the requested parameters to what the model accepts. Each change gives a warning. */

import type { ChatRequest } from './chat-request.ts'
import { EFFORTS, type Effort, type ThinkingType } from './models.ts'

/** Limits it to the model's maximum output; the API refuses more. */
export function clampMaxTokens({ model, info, maxTokens }: ChatRequest, warnings: string[]) {
  if (info === undefined || maxTokens <= info.maxOutputTokens) return maxTokens
  warnings.push(
    `max_tokens was lowered from ${maxTokens} to ${info.maxOutputTokens}, the most ${model} writes.`,
  )
  return info.maxOutputTokens
}

/**
 * The `thinking.type` to send, or undefined to send none. "Off" is `between_tools` where it exists
 * (without tools it means plain text replies), else `disabled`; some models always think.
 */
export function chooseThinking(
  { model, info, thinking }: ChatRequest,
  warnings: string[],
): ThinkingType | undefined {
  if (info === undefined) return thinking === 'adaptive' ? 'adaptive' : undefined
  const accepted = info.thinking.accepts
  const offTypes = ['between_tools', 'disabled'] as const
  if (thinking === 'off') return offTypes.find((type) => accepted.includes(type))
  if (accepted.includes('adaptive')) return 'adaptive'
  warnings.push(`${model} has no adaptive thinking; it answers without thinking.`)
  return undefined
}

/**
 * The effort to send: the highest that the model accepts, up to the requested one. With thinking
 * turned off, the API refuses levels above `high`.
 */
export function chooseEffort(
  { model, info, effort }: ChatRequest,
  thinking: ThinkingType | undefined,
  warnings: string[],
): Effort | undefined {
  if (effort === undefined || info === undefined) return effort
  if (info.efforts.length === 0) {
    warnings.push(`${model} has no effort setting; effort was left out.`)
    return undefined
  }
  const isOff = thinking === 'between_tools' || thinking === 'disabled'
  const limit = (isOff ? info.thinking.maxEffortWhenOff : undefined) ?? 'max'
  const ceiling = Math.min(EFFORTS.indexOf(effort), EFFORTS.indexOf(limit))
  const best = info.efforts.findLast((level) => EFFORTS.indexOf(level) <= ceiling)
  if (best === effort) return effort
  const taker = isOff ? `${model} with thinking off` : model
  warnings.push(`effort was lowered from ${effort} to ${best}, the most ${taker} takes.`)
  return best
}

/** Only some older models accept a temperature, and none with thinking on. */
export function chooseTemperature(
  { model, info, temperature }: ChatRequest,
  thinking: ThinkingType | undefined,
  warnings: string[],
): number | undefined {
  if (temperature === undefined) return undefined
  if (info?.sampling && thinking !== 'adaptive') return temperature
  const reason =
    info === undefined
      ? 'this gateway does not know whether the model takes one'
      : `${model} takes none${info.sampling ? ' while it thinks' : ''}`
  warnings.push(`temperature was left out: ${reason}.`)
  return undefined
}
