/** Models Anthropic no longer serves (Anthropic API docs: Model deprecations, 2026-11-22). */
export interface RetiredModel {
  /** Matches the id, its dated variants and its former pointers. */
  pattern: RegExp
  /** `YYYY-MM-DD`. */
  retiredOn: string
  /** The newest model of the same line. */
  replacement: string
}

const SONNET = 'claude-sonnet-5-5'
const OPUS = 'claude-opus-5-5'
const HAIKU = 'claude-haiku-5-5'

export const RETIRED_MODELS: readonly RetiredModel[] = [
  retired('opus-4-1', '2026-08-05', OPUS),
  retired('opus-4(-0)?', '2026-06-15', OPUS),
  retired('sonnet-4(-0)?', '2026-06-15', SONNET),
  retired('3-7-sonnet', '2026-02-19', SONNET),
  retired('3-5-sonnet', '2025-10-28', SONNET),
  retired('3-5-haiku', '2026-02-19', HAIKU),
  retired('3-haiku', '2026-04-20', HAIKU),
  retired('3-opus', '2026-01-05', OPUS),
  retired('3-sonnet', '2025-07-21', SONNET),
  { pattern: /^claude-instant\b/, retiredOn: '2025-07-21', replacement: HAIKU },
  { pattern: /^claude-2\b/, retiredOn: '2025-07-21', replacement: SONNET },
]

export const isRetired = (model: string): boolean =>
  RETIRED_MODELS.some(({ pattern }) => pattern.test(model))

function retired(name: string, retiredOn: string, replacement: string): RetiredModel {
  return { pattern: new RegExp(`^claude-${name}(-\\d{8}|-latest)?$`), retiredOn, replacement }
}
