/**
 * A table of the Claude models: limits, accepted parameters, and retirement. State of 2026-11-22.
 *
 * Sources: Anthropic API docs: Models overview, Model deprecations, Extended thinking, Effort,
 * Prompt caching. The models endpoint reports neither sampling nor the shortest cacheable prompt,
 * so the table cannot be replaced by a call. A model that is not listed is passed through.
 */
import { AppError } from '../errors.ts'
import { RETIRED_MODELS } from './retired-models.ts'

export type Family = 'fable' | 'mythos' | 'opus' | 'sonnet' | 'haiku'
export type ThinkingType = 'adaptive' | 'between_tools' | 'disabled' | 'enabled'
export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max'

export const EFFORTS: readonly Effort[] = ['low', 'medium', 'high', 'xhigh', 'max']

export interface ModelInfo {
  id: string
  /** Shorter ids the API resolves to this one. */
  pointers: readonly string[]
  displayName: string
  family: Family
  contextTokens: number
  maxOutputTokens: number
  /** Whether `temperature` (0 to 1) is accepted, under `anthropic-version: 2023-06-01` only. */
  sampling: boolean
  thinking: {
    accepts: readonly ThinkingType[]
    /** The default when the request omits it; `always_on` cannot be turned off. */
    whenOmitted: 'on' | 'off' | 'always_on' | 'unverified'
    /** The highest effort accepted with thinking turned off, where that is limited. */
    maxEffortWhenOff?: Effort
  }
  /** Accepted levels, weakest first; empty when the parameter is refused. */
  efforts: readonly Effort[]
  /** Whether a conversation may end with an assistant message. */
  prefill: boolean
  /** Shortest prefix the prompt cache keeps; null where it is not published. */
  minCacheTokens: number | null
  lifecycle: 'active' | 'deprecated'
  /** Announced last day, `YYYY-MM-DD`; null while none is announced. */
  retiresOn: string | null
  replacement: string | null
}

type Traits = Omit<ModelInfo, 'id' | 'displayName' | 'family' | 'minCacheTokens'>

const CURRENT = {
  pointers: [],
  contextTokens: 1_000_000,
  maxOutputTokens: 128_000,
  sampling: false,
  thinking: { accepts: ['adaptive'], whenOmitted: 'always_on' },
  efforts: EFFORTS,
  prefill: false,
  lifecycle: 'active',
  retiresOn: null,
  replacement: null,
} as const satisfies Traits

const SWITCHABLE = { accepts: ['adaptive', 'disabled'], whenOmitted: 'on' } as const
const OFF_BY_DEFAULT = { accepts: ['adaptive', 'disabled'], whenOmitted: 'off' } as const

const GENERATION_4_6 = {
  ...CURRENT,
  sampling: true,
  thinking: { accepts: ['adaptive', 'enabled', 'disabled'], whenOmitted: 'off' },
  efforts: ['low', 'medium', 'high', 'max'],
} as const satisfies Traits

const GENERATION_4_5 = {
  ...CURRENT,
  contextTokens: 200_000,
  maxOutputTokens: 64_000,
  sampling: true,
  thinking: { accepts: ['enabled', 'disabled'], whenOmitted: 'off' },
  efforts: [],
  prefill: true,
} as const satisfies Traits

/** Builds one row; `changes` are the traits in which a model differs from its generation. */
function model(
  family: Family,
  version: string,
  minCacheTokens: number | null,
  traits: Traits = CURRENT,
  changes: Partial<ModelInfo> = {},
): ModelInfo {
  const name = `${family.charAt(0).toUpperCase()}${family.slice(1)}`
  return {
    id: `claude-${family}-${version}`,
    displayName: `Claude ${name} ${version.replace('-', '.')}`,
    family,
    minCacheTokens,
    ...traits,
    ...changes,
  }
}

/** Every model that is served, newest of each line first. */
export const MODELS: readonly ModelInfo[] = [
  model('sonnet', '5-5', null, CURRENT, {
    thinking: {
      accepts: ['adaptive', 'between_tools'],
      whenOmitted: 'on',
      maxEffortWhenOff: 'high',
    },
  }),
  model('opus', '5-5', null),
  model('haiku', '5-5', null, CURRENT, {
    thinking: { accepts: ['adaptive'], whenOmitted: 'unverified' },
  }),
  model('fable', '5-2', null),
  model('mythos', '5-2', null),
  model('fable', '5-1', null),
  model('mythos', '5-1', null),
  model('fable', '5', 512),
  model('mythos', '5', 512),
  model('opus', '5', 512, CURRENT, { thinking: { ...SWITCHABLE, maxEffortWhenOff: 'high' } }),
  model('sonnet', '5', 1024, CURRENT, { thinking: SWITCHABLE }),
  model('opus', '4-8', 1024, CURRENT, { thinking: OFF_BY_DEFAULT }),
  model('opus', '4-7', 2048, CURRENT, { thinking: OFF_BY_DEFAULT }),
  model('opus', '4-6', 4096, GENERATION_4_6),
  model('sonnet', '4-6', 1024, GENERATION_4_6),
  model('opus', '4-5', 4096, GENERATION_4_5, {
    id: 'claude-opus-4-5-20251101',
    pointers: ['claude-opus-4-5'],
    lifecycle: 'deprecated',
    retiresOn: '2027-01-22',
    replacement: 'claude-opus-5-5',
    efforts: ['low', 'medium', 'high'],
  }),
  model('haiku', '4-5', 4096, GENERATION_4_5, {
    id: 'claude-haiku-4-5-20251001',
    pointers: ['claude-haiku-4-5'],
  }),
  model('sonnet', '4-5', 1024, GENERATION_4_5, {
    id: 'claude-sonnet-4-5-20250929',
    pointers: ['claude-sonnet-4-5'],
    lifecycle: 'deprecated',
    retiresOn: '2026-11-30',
    replacement: 'claude-sonnet-5-5',
  }),
]

/** Aliases of model lines; each resolves to the newest model of the line. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['sonnet', 'claude-sonnet-5-5'],
  ['opus', 'claude-opus-5-5'],
  ['haiku', 'claude-haiku-5-5'],
])

const BY_ID: ReadonlyMap<string, ModelInfo> = new Map(
  MODELS.flatMap((info) => [info.id, ...info.pointers].map((id) => [id, info] as const)),
)

export interface ResolvedModel {
  /** The id to send: aliases and pointers are replaced by the full id, an unknown id is kept. */
  id: string
  /** Undefined for a model this release does not know. */
  info: ModelInfo | undefined
  warnings: string[]
}

/**
 * Resolves a requested model name to the model to call.
 *
 * @param mode what to do with a retired id: `refuse` it, or `map` it to the newest of its line
 * with a warning.
 * @throws AppError `model_retired` in mode `refuse`; details: `model`, `replacement`, `retired_on`.
 */
export function resolveModel(
  requested: string,
  mode: 'refuse' | 'map',
  today: Date = new Date(),
): ResolvedModel {
  const asked = requested.trim()
  const name = asked.toLowerCase()
  const info = BY_ID.get(ALIASES.get(name) ?? name)
  const end = findRetirement(name, info, today)
  if (end !== undefined) return replaceRetired(name, end, mode)
  if (info === undefined) return { id: asked, info, warnings: [] }
  return { id: info.id, info, warnings: deprecationWarnings(info) }
}

type Retirement = { retiredOn: string; replacement: string }

function findRetirement(name: string, info: ModelInfo | undefined, today: Date) {
  const known = RETIRED_MODELS.find(({ pattern }) => pattern.test(name))
  if (known !== undefined || info?.retiresOn == null || info.replacement === null) return known
  const over = today.toISOString().slice(0, 10) > info.retiresOn
  return over ? { retiredOn: info.retiresOn, replacement: info.replacement } : undefined
}

function replaceRetired(name: string, end: Retirement, mode: 'refuse' | 'map'): ResolvedModel {
  const { retiredOn, replacement } = end
  const story = `${name} was retired by Anthropic on ${retiredOn}`
  if (mode === 'refuse') {
    throw new AppError('model_retired', `${story}. Use ${replacement} instead.`, {
      details: { model: name, replacement, retired_on: retiredOn },
    })
  }
  const warning = `${story}; ${replacement} answered instead. Its price and behaviour differ.`
  return { id: replacement, info: BY_ID.get(replacement), warnings: [warning] }
}

function deprecationWarnings({ id, retiresOn, replacement }: ModelInfo): string[] {
  if (retiresOn === null) return []
  return [`${id} is deprecated and will be retired on ${retiresOn}. Move to ${replacement}.`]
}
