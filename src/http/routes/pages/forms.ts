/** What was sent by a form, and what is said beside its fields when it is refused. */

import type { Request } from 'express'
import type { z } from 'zod'
import { AppError, type ErrorCode } from '../../../errors.ts'
import type { FormErrors } from '../../views/form.ts'

/** One value, as it was typed; '' when the field is missing. */
export function textField(req: Request, name: string): string {
  const value: unknown = req.body?.[name]
  return typeof value === 'string' ? value : ''
}

/** The values of the boxes that were ticked. */
export function chosenValues(req: Request, name: string): string[] {
  const value: unknown = req.body?.[name]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.filter((chosen) => typeof chosen === 'string')
}

export type Refusal = { status: number; retryAfterSeconds?: number | undefined; errors: FormErrors }

/** RFC 9110, 15.5.21: understood, and not acceptable. */
const UNPROCESSABLE = 422

/** What the rules say of the values, by field; undefined when all are kept. */
export function brokenRules(rules: Record<string, z.ZodType>, values: Record<string, unknown>) {
  const errors: Record<string, string> = {}
  for (const [name, rule] of Object.entries(rules)) {
    const issue = rule.safeParse(values[name]).error?.issues[0]
    if (issue) errors[name] = asSentence(name, issue.message)
  }
  return Object.keys(errors).length === 0 ? undefined : refused(errors)
}

export const refused = (errors: FormErrors): Refusal => ({ status: UNPROCESSABLE, errors })

/**
 * Runs what a form asks for.
 *
 * @param fields beside which field a code's message stands; any other stands above the form.
 * @returns why it was refused.
 * @throws whatever is not for the form's reader to mend.
 */
export async function attempt<T>(
  work: () => Promise<T>,
  fields: Partial<Record<ErrorCode, string>> = {},
): Promise<{ done: T } | { refusal: Refusal }> {
  try {
    return { done: await work() }
  } catch (error) {
    if (!(error instanceof AppError) || UNMENDABLE.has(error.code)) throw error
    const { code, message, retryAfterSeconds } = error
    // A 401 would have to name an HTTP authentication scheme (RFC 9110, 15.5.2).
    const status = error.status === 401 ? UNPROCESSABLE : error.status
    return { refusal: { status, retryAfterSeconds, errors: { [fields[code] ?? '']: message } } }
  }
}

const UNMENDABLE = new Set<ErrorCode>(['internal', 'not_found', 'unauthenticated'])

/** Rules read on from the name of what they are about. */
const asSentence = (name: string, rule: string) => `The ${name.replaceAll('_', ' ')} ${rule}.`
