import { invalid } from './api-error.ts'

type Check = (value: unknown, field: string) => void

/** The types of the top-level fields. `null` stands for "not given" wherever the API's types allow it. */
const CHECKS: Record<string, Check> = {
  model: (value, field) => expectThat(isFilledString(value), field, 'a non-empty string'),
  max_tokens: (value, field) =>
    expectThat(
      Number.isInteger(value) && (value as number) >= 0,
      field,
      'an integer of at least 0',
    ),
  messages: (value, field) => expectThat(Array.isArray(value), field, 'a valid list'),
  stream: optional((value, field) =>
    expectThat(typeof value === 'boolean', field, 'a valid boolean'),
  ),
  stop_sequences: optional(checkStopSequences),
  metadata: optional(checkMetadata),
  thinking: optional(checkObject),
  output_config: optional(checkOutputConfig),
  cache_control: optional(checkCacheControl),
  tools: optional(checkTools),
  tool_choice: optional(checkObject),
  system: optional(checkSystem),
  service_tier: (value, field) =>
    expectThat(value === 'auto' || value === 'standard_only', field, "'auto' or 'standard_only'"),
  inference_geo: optional((value, field) =>
    expectThat(isFilledString(value), field, 'a valid string'),
  ),
  speed: optional((value, field) =>
    expectThat(value === 'standard' || value === 'fast', field, "'standard' or 'fast'"),
  ),
  container: optional((value, field) =>
    expectThat(typeof value === 'string' || isObject(value), field, 'a container'),
  ),
  context_management: optional(checkObject),
  diagnostics: optional(checkObject),
}

/** @throws ApiError 400 naming the first field of a wrong type. */
export function checkFieldTypes(body: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(body)) CHECKS[field]?.(value, field)
}

/** @throws ApiError 400 unless `value` is a cache_control object. */
export function checkCacheControl(value: unknown, field: string): void {
  checkObject(value, field)
  const { type, ttl, ...rest } = value as Record<string, unknown>
  expectThat(type === 'ephemeral', `${field}.type`, "'ephemeral'")
  expectThat(ttl === undefined || ttl === '5m' || ttl === '1h', `${field}.ttl`, "'5m' or '1h'")
  forbidOthers(rest, field)
}

/** @throws ApiError 400 in the API's wording for a value of the wrong kind. */
export function expectThat(holds: boolean, field: string, expected: string): void {
  if (!holds) throw invalid(`${field}: Input should be ${expected}`)
}

/** @throws ApiError 400 naming the first of the fields that are left over. */
export function forbidOthers(rest: Record<string, unknown>, field: string): void {
  const extra = Object.keys(rest)[0]
  if (extra !== undefined) throw invalid(`${field}.${extra}: Extra inputs are not permitted`)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isFilledString(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function optional(check: Check): Check {
  return (value, field) => {
    if (value !== null && value !== undefined) check(value, field)
  }
}

function checkObject(value: unknown, field: string): void {
  expectThat(isObject(value), field, 'a valid object')
}

function checkStopSequences(value: unknown, field: string): void {
  expectThat(
    Array.isArray(value) && value.every((s) => typeof s === 'string'),
    field,
    'a list of strings',
  )
  if ((value as string[]).some((sequence) => sequence.trim() === '')) {
    throw invalid(`${field}: each stop sequence must contain non-whitespace`)
  }
}

function checkMetadata(value: unknown, field: string): void {
  checkObject(value, field)
  const { user_id, ...rest } = value as Record<string, unknown>
  const isShort = typeof user_id === 'string' && user_id.length <= 256
  expectThat(user_id == null || isShort, `${field}.user_id`, 'a string of at most 256 characters')
  forbidOthers(rest, field)
}

function checkOutputConfig(value: unknown, field: string): void {
  checkObject(value, field)
  const { effort, format, ...rest } = value as Record<string, unknown>
  forbidOthers(rest, field)
  if (effort != null) {
    const known = ['low', 'medium', 'high', 'xhigh', 'max'].includes(String(effort))
    expectThat(known, `${field}.effort`, "'low', 'medium', 'high', 'xhigh' or 'max'")
  }
  if (format == null) return
  const isSchema = isObject(format) && format.type === 'json_schema' && isObject(format.schema)
  expectThat(isSchema, `${field}.format`, 'a json_schema format')
}

function checkTools(value: unknown, field: string): void {
  expectThat(Array.isArray(value) && value.every(isObject), field, 'a list of tools')
  for (const [index, tool] of (value as Record<string, unknown>[]).entries()) {
    expectThat(isFilledString(tool.name), `${field}.${index}.name`, 'a non-empty string')
    if (tool.cache_control != null)
      checkCacheControl(tool.cache_control, `${field}.${index}.cache_control`)
  }
}

function checkSystem(value: unknown, field: string): void {
  if (typeof value === 'string') return
  expectThat(Array.isArray(value), field, 'a string or a list of text blocks')
  for (const [index, block] of (value as unknown[]).entries()) {
    const at = `${field}.${index}`
    expectThat(
      isObject(block) && block.type === 'text' && typeof block.text === 'string',
      at,
      'a text block',
    )
    const {
      type: _,
      text,
      cache_control,
      citations: __,
      ...rest
    } = block as Record<string, unknown>
    forbidOthers(rest, at)
    if (cache_control != null) checkCacheControl(cache_control, `${at}.cache_control`)
    if (String(text).trim() === '') throw invalid('system: text content blocks must be non-empty')
  }
}
