import type { Request } from 'express'
import { z } from 'zod'
import type { FormState } from '../../kit/form.ts'
import { brokenRules, queryText, type Refusal, refused } from '../../kit/forms.ts'

/** What the rows of a report may stand for. */
export const GROUPS = {
  day: 'Day',
  model: 'Model',
  tag: 'Tag',
  conversation: 'Conversation',
  session: 'Session',
  client: 'Client',
  source: 'Source',
} as const

/** First and last UTC day, both included. */
export type Filter = { from: string; to: string; group: keyof typeof GROUPS }

/** Nothing was asked of Claude before. */
const FIRST_DAY = '2020-01-01'
const MOST_DAYS = 366
const DAY_MS = 86_400_000

const Day = z.iso
  .date('must be a day')
  .refine((day) => day >= FIRST_DAY, `must be ${FIRST_DAY} or later`)

/**
 * What the address asks for: this month by model, unless it says something else.
 *
 * @returns a refusal, too, when it asks for what there cannot be; the filter is the default then.
 */
export function filterOf(req: Request): { filter: Filter; form: FormState; refusal?: Refusal } {
  const today = new Date().toISOString().slice(0, 10)
  const month = { from: `${today.slice(0, 7)}-01`, to: today }
  const wanted = queryText(req, 'group')
  const group = isGroup(wanted) ? wanted : 'model'
  const values = {
    from: queryText(req, 'from') || month.from,
    to: queryText(req, 'to') || month.to,
    group,
  }
  const refusal = brokenRules({ from: Day, to: Day }, values) ?? wrongRange(values)
  const form = { values, errors: refusal?.errors ?? {} }
  return refusal
    ? { filter: { ...month, group }, form, refusal }
    : { filter: { from: values.from, to: values.to, group }, form }
}

const isGroup = (name: string): name is Filter['group'] => Object.hasOwn(GROUPS, name)

function wrongRange({ from, to }: { from: string; to: string }): Refusal | undefined {
  if (from > to) return refused({ from: 'The first day must not be after the last one.' })
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1
  if (days > MOST_DAYS) return refused({ from: `At most ${MOST_DAYS} days can be shown at once.` })
  return undefined
}

/** Every day of the range, in order. */
export function daysOf({ from, to }: Filter): string[] {
  const days: string[] = []
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY_MS) {
    days.push(new Date(at).toISOString().slice(0, 10))
  }
  return days
}

export const addressOf = (path: string, filter: Filter): string =>
  `${path}?${new URLSearchParams(filter)}`
