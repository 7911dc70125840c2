import type { Limit } from '../../../repositories/billing/budgets.ts'

export const NO_LIMIT: Limit = { nanoUsd: null, tokens: null }

export const isLimit = ({ nanoUsd, tokens }: Limit): boolean => nanoUsd !== null || tokens !== null

/** What a new limit says of each kind; left out: it stays. Null: there is no limit any more. */
export type LimitChange = Partial<Limit> | null

/** @returns null where nothing is left that limits. */
export function changedBy(before: Limit | undefined, change: LimitChange): Limit | null {
  if (change === null) return null
  const limit = { ...NO_LIMIT, ...before, ...change }
  const after = { nanoUsd: limit.nanoUsd, tokens: limit.tokens }
  return isLimit(after) ? after : null
}

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
