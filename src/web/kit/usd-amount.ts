/** USD amounts in form fields. */

import { z } from 'zod'
import { AMOUNT_EXAMPLES, MAX_USD, parseUsd, toUsd } from '../../text/usd-amount.ts'

const NANO_USD_PER_CENT = 10_000_000n
const DECIMALS = 2
const MOST_NANO_USD = BigInt(MAX_USD) * 1_000_000_000n
const RULE = `must be an amount ${AMOUNT_EXAMPLES}`

/** At most two decimals, below {@link MAX_USD}; or empty. */
export const UsdAmount = z
  .string()
  .refine(
    (text) => text === '' || isAmount(text, MOST_NANO_USD - 1n, DECIMALS),
    `${RULE}, below ${MAX_USD}, with at most two decimals`,
  )

/** What tools take: all decimals, up to {@link MAX_USD}. For forms that begin with what one has said. */
export const ExactUsdAmount = z
  .string()
  .refine((text) => text === '' || isAmount(text, MOST_NANO_USD), `${RULE}, up to ${MAX_USD}`)

/** Converts a {@link UsdAmount}. @returns null if empty: no limit. */
export const toNanoUsd = (amount: string): bigint | null => parseUsd(amount, DECIMALS) ?? null

/** The initial value of a field. Amounts set by tools may have more decimals. */
export function toAmount(nanoUsd: bigint | null): string {
  if (nanoUsd === null) return ''
  const digits = nanoUsd % NANO_USD_PER_CENT === 0n ? DECIMALS : 9
  return toUsd(nanoUsd).toFixed(digits)
}

function isAmount(text: string, mostNanoUsd: bigint, decimals?: number): boolean {
  const nanoUsd = parseUsd(text, decimals)
  return nanoUsd !== undefined && nanoUsd <= mostNanoUsd
}
