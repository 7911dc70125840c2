/** USD amounts in form fields. */

import { z } from 'zod'
import { AMOUNT_EXAMPLES, parseUsd, toUsd } from '../../text/usd-amount.ts'

const NANO_USD_PER_CENT = 10_000_000n
const DECIMALS = 2
const TOO_MUCH = 1_000_000n * 1_000_000_000n

/** At most two decimals, below a million; or empty. */
export const UsdAmount = z
  .string()
  .refine((text) => text === '' || isAmount(text), `must be an amount ${AMOUNT_EXAMPLES}`)

/** Converts a {@link UsdAmount}. @returns null if empty: no limit. */
export const toNanoUsd = (amount: string): bigint | null => parseUsd(amount, DECIMALS) ?? null

/** The initial value of a field. Amounts set by tools may have more decimals. */
export function toAmount(nanoUsd: bigint | null): string {
  if (nanoUsd === null) return ''
  const digits = nanoUsd % NANO_USD_PER_CENT === 0n ? DECIMALS : 9
  return toUsd(nanoUsd).toFixed(digits)
}

const isAmount = (text: string) => (parseUsd(text, DECIMALS) ?? TOO_MUCH) < TOO_MUCH
