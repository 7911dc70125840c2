/** Reads untrusted values from Anthropic or from a proxy in front of it. */

/** Far above any context window or answer; a larger number is invalid, and may not fit a column. */
const MOST_TOKENS = 10_000_000
const MAX_LABEL_CHARS = 200

export type Fields = Record<string, unknown>

/** Empty for anything but an object. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

/** A number of tokens, rounded up; undefined for an invalid one. */
export function toTokens(value: unknown): number | undefined {
  if (typeof value !== 'number' || !(value >= 0 && value <= MOST_TOKENS)) return undefined
  return Math.ceil(value)
}

/**
 * A short text that is stored and shown in clear (a name, a reason), with printable ASCII only: no
 * characters that a database refuses or a terminal interprets. Null when nothing is left.
 */
export function toLabel(value: unknown): string | null {
  if (typeof value !== 'string') return null
  return value.replace(/[^\x20-\x7e]/g, '').slice(0, MAX_LABEL_CHARS) || null
}

export function toText(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
