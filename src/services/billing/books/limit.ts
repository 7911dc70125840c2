import type { Limit } from '../../../repositories/billing/budgets.ts'

export const NO_LIMIT: Limit = { nanoUsd: null, tokens: null }

export const isLimit = ({ nanoUsd, tokens }: Limit): boolean => nanoUsd !== null || tokens !== null

/** The stricter one of each kind. */
export const lower = (a: Limit, b: Limit): Limit => ({
  nanoUsd: smaller(a.nanoUsd, b.nanoUsd),
  tokens: smaller(a.tokens, b.tokens),
})

/** A raise counts where it is higher. It makes no limit where there is none in USD. */
export function raisedBy(limit: Limit, granted: readonly bigint[]): Limit {
  const { nanoUsd } = limit
  if (nanoUsd === null) return limit
  return { ...limit, nanoUsd: granted.reduce((most, one) => (one > most ? one : most), nanoUsd) }
}

export function smaller<T extends bigint | number>(a: T | null, b: T | null): T | null {
  if (a === null || b === null) return a ?? b
  return a < b ? a : b
}
