/** Money is a whole number of nano-USD inside, and USD only at the edges: both conversions are here. */

const CURRENCY = String.raw`(?:(?:US)?\$|USD)`
const NUMBER = String.raw`(\d{1,9})(?:\.(\d{1,9})|,(\d{1,2}))?`
const AMOUNT = new RegExp(String.raw`^${CURRENCY}?\s*${NUMBER}\s*${CURRENCY}?$`, 'i')

const NANO_DIGITS = 9

/** Completes "takes an amount" and "must be an amount". */
export const AMOUNT_EXAMPLES = 'like 20, 7.50 or $5'

/** The largest limit that forms and tools take. */
export const MAX_USD = 1_000_000

/**
 * The amount in nano-USD: `5`, `$5`, `5 USD`, `7.50` and `7,50`. A comma before three digits is
 * ambiguous (thousands or decimals), and refused. A number is rounded to a nano-USD.
 *
 * @param decimals the most decimal places allowed.
 * @returns undefined for anything else.
 */
export function parseUsd(amount: string | number, decimals = NANO_DIGITS): bigint | undefined {
  const text = typeof amount === 'number' ? amount.toFixed(decimals) : amount
  const [, whole, afterPoint, afterComma] = AMOUNT.exec(text.trim()) ?? []
  if (whole === undefined) return undefined
  const fraction = afterPoint ?? afterComma ?? ''
  return fraction.length > decimals ? undefined : BigInt(whole + fraction.padEnd(NANO_DIGITS, '0'))
}

/** The amount as exact decimal text with all nine decimals, like `0.001500000`. */
export function toDecimalUsd(nanoUsd: bigint): string {
  const digits = String(nanoUsd < 0n ? -nanoUsd : nanoUsd).padStart(NANO_DIGITS + 1, '0')
  const sign = nanoUsd < 0n ? '-' : ''
  return `${sign}${digits.slice(0, -NANO_DIGITS)}.${digits.slice(-NANO_DIGITS)}`
}

/** The nearest number of USD, for JSON and for people; null stays null. */
export function toUsd(nanoUsd: bigint): number
export function toUsd(nanoUsd: bigint | null): number | null
export function toUsd(nanoUsd: bigint | null): number | null {
  return nanoUsd === null ? null : Number(toDecimalUsd(nanoUsd))
}
