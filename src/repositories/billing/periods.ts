import type { BudgetPeriod, PayingPeriods } from './budgets.ts'

/** The UTC day and month to which a call made at `now` is charged. */
export function periodsAt(now: Date): PayingPeriods {
  const day = now.toISOString().slice(0, 10)
  return { day, month: `${day.slice(0, 7)}-01` }
}

/** When the next day or month begins, UTC. */
export function nextStart(period: BudgetPeriod, now: Date): Date {
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()]
  return new Date(period === 'day' ? Date.UTC(year, month, day + 1) : Date.UTC(year, month + 1, 1))
}
