import { z } from 'zod'
import { AMOUNT_EXAMPLES, MAX_USD, parseUsd } from '../../text/usd-amount.ts'

/** A limit in USD as a tool takes it. */
export const usdNumber = z.number().min(0).max(MAX_USD)
export const usdText = z
  .string()
  .refine(
    (text) => (parseUsd(text) ?? Number.POSITIVE_INFINITY) <= MAX_USD * 1e9,
    `must be an amount ${AMOUNT_EXAMPLES}, up to ${MAX_USD}`,
  )
