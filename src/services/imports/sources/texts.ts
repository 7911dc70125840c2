/** Texts and markers of imported messages. */

import { visibleName } from '../../../text/visible-name.ts'
import { beginningOf } from '../../../text/whole-text.ts'

const MAX_TITLE_LENGTH = 200
const MAX_TYPE_LENGTH = 64

/** As the gateway stores text: whole characters, no NUL. What is not text is ''. */
export const storable = (value: unknown): string =>
  typeof value === 'string' ? value.toWellFormed().replaceAll('\0', '\ufffd') : ''

/** Stands for a part that cannot be taken over, such as `[tool use: web_search]`. */
export function marker(type: string, name?: unknown): string {
  const of = typeof name === 'string' ? visibleName(name) : undefined
  return of === undefined ? `[${shortName(type)}]` : `[${shortName(type)}: ${of}]`
}

const shortName = (type: string) => visibleName(type.replaceAll('_', ' ')) ?? 'unknown'

/** The type of a block, for the report: a name of the file's own, at most 64 characters. */
export const typeName = (type: unknown): string =>
  beginningOf(storable(type), MAX_TYPE_LENGTH) || 'unknown'

/** One line; undefined when nothing of it is visible. */
export function titleOf(value: unknown): string | undefined {
  const line = storable(value).replace(/\s+/g, ' ').trim()
  return line === '' ? undefined : beginningOf(line, MAX_TITLE_LENGTH)
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
