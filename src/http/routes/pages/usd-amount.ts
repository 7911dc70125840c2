/** Amounts in USD as people type them. */

import { z } from 'zod'

const CENTS = 100
const NANO_USD_PER_CENT = 10_000_000n

/** With at most two decimals, after a point or a comma; or nothing. */
export const UsdAmount = z
  .string()
  .regex(/^(?:\d{1,6}(?:[.,]\d{1,2})?)?$/, 'must be an amount like 20 or 7.50')

/** Of an {@link UsdAmount}. @returns null for nothing: no limit. */
export function toNanoUsd(amount: string): bigint | null {
  if (amount === '') return null
  const cents = Math.round(Number(amount.replace(',', '.')) * CENTS)
  return BigInt(cents) * NANO_USD_PER_CENT
}

/** For a field to begin with. An amount that a tool set may be finer than the field takes. */
export function toAmount(nanoUsd: bigint | null): string {
  if (nanoUsd === null) return ''
  const digits = nanoUsd % NANO_USD_PER_CENT === 0n ? 2 : 9
  return (Number(nanoUsd) / 1e9).toFixed(digits)
}
