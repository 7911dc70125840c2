/** Amounts in USD in the fields of forms. */

import { z } from 'zod'
import { AMOUNT_EXAMPLES, parseUsd } from '../../../usd-amount.ts'

const NANO_USD_PER_CENT = 10_000_000n
const DECIMALS = 2
const TOO_MUCH = 1_000_000n * 1_000_000_000n

/** With at most two decimals, below a million; or nothing. */
export const UsdAmount = z
  .string()
  .refine((text) => text === '' || isAmount(text), `must be an amount ${AMOUNT_EXAMPLES}`)

/** Of a {@link UsdAmount}. @returns null for nothing: no limit. */
export const toNanoUsd = (amount: string): bigint | null => parseUsd(amount, DECIMALS) ?? null

/** For a field to begin with. An amount that a tool set may be finer than the field takes. */
export function toAmount(nanoUsd: bigint | null): string {
  if (nanoUsd === null) return ''
  const digits = nanoUsd % NANO_USD_PER_CENT === 0n ? DECIMALS : 9
  return (Number(nanoUsd) / 1e9).toFixed(digits)
}

const isAmount = (text: string) => (parseUsd(text, DECIMALS) ?? TOO_MUCH) < TOO_MUCH
