/** A figure against its target. */

import type { Verdict } from './case.ts'
import type { Outcome } from './rounds.ts'

export const atLeast = (target: string, measured: number, least: number, unit = 'x'): Verdict => ({
  target,
  measured: withUnit(measured, unit),
  isMet: measured >= least,
})

export const atMost = (target: string, measured: number, most: number, unit = 'x'): Verdict => ({
  target,
  measured: withUnit(measured, unit),
  isMet: measured <= most,
})

export const aim = (verdict: Verdict): Verdict => ({ ...verdict, isAim: true })

function withUnit(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 ? 0 : 2
  return Number.isFinite(value)
    ? `${value.toFixed(digits)}${unit === 'x' ? 'x' : ` ${unit}`}`
    : 'n/a'
}

/** More failed requests than this, and the figure of the others means nothing. */
const TOLERATED_ERRORS = 0.001

/** Ours over theirs; not a number, which meets no target, when either had errors. */
export function compare(
  ours: Outcome | undefined,
  theirs: Outcome | undefined,
  of: (outcome: Outcome) => number,
): number {
  if (!ours || !theirs || hasErrors(ours) || hasErrors(theirs)) return Number.NaN
  return of(ours) / of(theirs)
}

export function hasErrors({ errors, rounds }: Outcome): boolean {
  const failed = Object.values(errors).reduce((sum, count) => sum + count, 0)
  const good = rounds.reduce((sum, { result }) => sum + result.requests, 0)
  return failed > 0 && failed >= TOLERATED_ERRORS * good
}
