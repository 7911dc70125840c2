/**
 * What is wrong with a value, for people and models, in words that follow the name of the field, as
 * in "message is missing" or "limit must be at most 200". Never the value, which may be a secret.
 *
 * A rule has its own words for what only it knows ("must be a day, for example 2026-11-01");
 * everything else is worded here, without zod's terms.
 */

import type { z } from 'zod'

export type Problem = {
  /** The path, joined with dots and shortened for display; '' for the whole value. */
  field: string
  /** Continues the field's name: "must be text". No full stop. */
  words: string
  /** Whether the field does not exist. */
  isUnknown: boolean
}

export type Checked<T> = { data: T; problems?: never } | { data?: never; problems: Problem[] }

/** The longest part of the caller's input that an error repeats, in characters. */
const MAX_NAME_LENGTH = 100

/** Validates a value: the rule's output, or all that is wrong with the value. */
export function check<T>(rule: z.ZodType<T>, value: unknown): Checked<T> {
  const parsed = rule.safeParse(value, { error: wordsFor, reportInput: true })
  if (parsed.success) return { data: parsed.data }
  return { problems: parsed.error.issues.flatMap(problemsIn) }
}

/** For one sentence: "message is missing". `whole` names the value itself. */
export const inWords = ({ field, words }: Problem, whole: string) => `${field || whole} ${words}`

function problemsIn(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const field = nameOf([...issue.path, key])
      return { field, words: 'is unknown', isUnknown: true }
    })
  }
  // A rule's own words apply only to a value that is present.
  const words = isMissing(issue) ? MISSING : issue.message
  return [{ field: nameOf(issue.path), words, isUnknown: false }]
}

const nameOf = (path: readonly PropertyKey[]) =>
  shortened(
    path
      .map((part, at) => (at === 0 && typeof part === 'number' ? `[${part}]` : String(part)))
      .join('.'),
  )

const shortened = (name: string) =>
  name.length <= MAX_NAME_LENGTH ? name : `${name.slice(0, MAX_NAME_LENGTH)}…`

const MISSING = 'is missing'

/** Codes that mean "missing" without an input. A rule's refusal (`custom`) keeps its own words. */
const MISSED = new Set(['invalid_type', 'invalid_value', 'invalid_union'])

const isMissing = ({ code, input }: { code?: string; input?: unknown }) =>
  input === undefined && MISSED.has(code ?? '')

const KINDS: Record<string, string> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'an object',
  record: 'an object',
  string: 'text',
}

const FORMATS: Record<string, string> = {
  date: 'a day, for example 2026-11-01',
  datetime: 'an instant, for example 2026-11-01T09:30:00Z',
  email: 'an email address, for example ada@example.com',
  url: 'a URL',
  uuid: 'an id, for example 01a203ad-e234-7157-9eed-864f92cdb276',
}

function wordsFor(issue: z.core.$ZodRawIssue): string {
  if (isMissing(issue)) return MISSING
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? 'of another kind'}`
    case 'invalid_value':
      return `must be ${inOr(issue.values.map((value) => String(value) || 'empty'))}`
    case 'too_small':
      return bounded(
        issue.origin,
        issue.inclusive === false ? 'more than' : 'at least',
        issue.minimum,
      )
    case 'too_big':
      return bounded(
        issue.origin,
        issue.inclusive === false ? 'less than' : 'at most',
        issue.maximum,
      )
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'invalid_format':
      return `must be ${FORMATS[issue.format] ?? 'written in another way'}`
    case 'invalid_union':
      return ofUnion(issue.errors.flat())
    default:
      return OF_NO_KIND
  }
}

const OF_NO_KIND = 'is of no kind that is taken here'

/** The problem within the variant whose type matches; otherwise lists the allowed types. */
function ofUnion(issues: readonly z.core.$ZodIssue[]): string {
  const near = issues.find(({ code }) => code !== 'invalid_type')
  if (near) return near.message
  const kinds = issues.flatMap((issue) =>
    issue.code === 'invalid_type' ? (KINDS[issue.expected] ?? []) : [],
  )
  return kinds.length === 0 ? OF_NO_KIND : `must be ${inOr([...new Set(kinds)])}`
}

/** "a", "a or b", "a, b or c". */
const inOr = (choices: readonly string[]) =>
  choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`

const UNITS: Record<string, [one: string, many: string]> = {
  array: ['entry', 'entries'],
  string: ['character', 'characters'],
}

function bounded(origin: string, how: string, bound: number | bigint | Date): string {
  const unit = UNITS[origin]
  if (unit === undefined) return `must be ${how} ${String(bound)}`
  if (how === 'at least' && bound === 1) return 'must not be empty'
  return `must have ${how} ${String(bound)} ${bound === 1 ? unit[0] : unit[1]}`
}
