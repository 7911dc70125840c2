/** Amounts in USD as people write them. */

const CURRENCY = String.raw`(?:(?:US)?\$|USD)`
const NUMBER = String.raw`(\d{1,9})(?:\.(\d{1,9})|,(\d{1,2}))?`
const AMOUNT = new RegExp(String.raw`^${CURRENCY}?\s*${NUMBER}\s*${CURRENCY}?$`, 'i')

const NANO_DIGITS = 9

/** Completes "takes an amount" and "must be an amount". */
export const AMOUNT_EXAMPLES = 'like 20, 7.50 or $5'

/**
 * The amount in nano-USD: `5`, `$5`, `5 USD`, `7.50` and `7,50`. A comma before three digits is
 * ambiguous (thousands or decimals), and refused.
 *
 * @param decimals the most decimal places allowed.
 * @returns undefined for anything else.
 */
export function parseUsd(text: string, decimals = NANO_DIGITS): bigint | undefined {
  const [, whole, afterPoint, afterComma] = AMOUNT.exec(text.trim()) ?? []
  if (whole === undefined) return undefined
  const fraction = afterPoint ?? afterComma ?? ''
  return fraction.length > decimals ? undefined : BigInt(whole + fraction.padEnd(NANO_DIGITS, '0'))
}
