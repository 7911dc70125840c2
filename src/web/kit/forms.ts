/** Reads submitted form values, and turns errors into messages for the form. */

import type { Request } from 'express'
import type { z } from 'zod'
import { AppError, type ErrorCode } from '../../errors.ts'
import { check } from '../../text/problems.ts'
import type { FormErrors } from './form.ts'
import { inPlainTime } from './format.ts'

/** One value, as typed; '' when the field is missing. */
export function textField(req: Request, name: string): string {
  const value: unknown = req.body?.[name]
  return typeof value === 'string' ? value : ''
}

/** One value of the address; '' when it is missing, or given more than once. */
export function queryText(req: Request, name: string): string {
  const value: unknown = req.query[name]
  return typeof value === 'string' ? value : ''
}

/** A position in a conversation, from the address; undefined for anything else. */
export function positionOf(req: Request, name: string): number | undefined {
  const text = queryText(req, name)
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

/** The values of the checked boxes. */
export function chosenValues(req: Request, name: string): string[] {
  const value: unknown = req.body?.[name]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.filter((chosen) => typeof chosen === 'string')
}

export type Refusal = { status: number; retryAfterSeconds?: number | undefined; errors: FormErrors }

/** RFC 9110, 15.5.21: Unprocessable Content. */
const UNPROCESSABLE = 422

/** Validates the values, with an error per field; undefined when all are valid. */
export function brokenRules(rules: Record<string, z.ZodType>, values: Record<string, unknown>) {
  const errors: Record<string, string> = {}
  for (const [name, rule] of Object.entries(rules)) {
    const [problem] = check(rule, values[name]).problems ?? []
    if (problem) errors[name] = asSentence(name, problem.words)
  }
  return Object.keys(errors).length === 0 ? undefined : refused(errors)
}

export const refused = (errors: FormErrors): Refusal => ({ status: UNPROCESSABLE, errors })

/**
 * Runs the action of a form.
 *
 * @param fields the field that shows a code's message; other messages are shown above the form. With
 *   `not_found` a name that leads nowhere is a mistake in that field, and else a missing page.
 * @returns the result, or why it was refused.
 * @throws errors that the user cannot correct in the form.
 */
export async function attempt<T>(
  work: () => Promise<T>,
  fields: Partial<Record<ErrorCode, string>> = {},
): Promise<{ done: T } | { refusal: Refusal }> {
  try {
    return { done: await work() }
  } catch (error) {
    if (!(error instanceof AppError) || !isMendable(error, fields)) throw error
    const { status: given, retryAfterSeconds } = error
    // A 401 would have to name an HTTP authentication scheme (RFC 9110, 15.5.2); a 404 is a missing page.
    const status = given === 401 || given === 404 ? UNPROCESSABLE : given
    return {
      refusal: {
        status,
        retryAfterSeconds,
        errors: { [besideOf(error, fields)]: messageOnPages(error) },
      },
    }
  }
}

/** An invalid_input without a field is about the whole form. */
function besideOf({ code, details }: AppError, fields: Partial<Record<ErrorCode, string>>): string {
  const isOfWhole = code === 'invalid_input' && details?.field === undefined
  return isOfWhole ? '' : (fields[code] ?? '')
}

/** What a person reads of an error on a page: all pages show errors by this alone. */
export function messageOnPages({ message, onPages, details }: AppError): string {
  const prefix = `${details?.field} `
  if (onPages !== undefined || !message.startsWith(prefix)) return inPlainTime(onPages ?? message)
  // A rule that begins with the name of its field.
  return asSentence(String(details?.field), message.slice(prefix.length).replace(/\.$/, ''))
}

/** Only what was typed can lead nowhere and be typed again. */
const isMendable = ({ code, details }: AppError, fields: Partial<Record<ErrorCode, string>>) =>
  !UNMENDABLE.has(code) ||
  (code === 'not_found' && fields.not_found !== undefined && details?.field !== undefined)

const UNMENDABLE = new Set<ErrorCode>([
  'internal',
  'not_found',
  'unauthenticated',
  'proof_required',
])

/** A rule continues a sentence that begins with the field name, unless it is a whole sentence. */
const asSentence = (name: string, rule: string) =>
  /^[A-Z]/.test(rule) ? rule : `The ${name.replaceAll('_', ' ')} ${rule}.`
