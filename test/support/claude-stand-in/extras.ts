import { ApiError } from './api-error.ts'

const EXTRA = /^(.+): Extra inputs are not permitted$/
const MOST_EXTRAS = 1000

/**
 * Checks a request as if the fields that it does not know were not there: with a beta named they may
 * belong to it.
 *
 * @throws what `check` throws for any other reason.
 */
export function checkWithoutExtras<T>(json: object, check: (pruned: object) => T): T {
  const pruned = structuredClone(json)
  for (let left = MOST_EXTRAS; left > 0; left -= 1) {
    try {
      return check(pruned)
    } catch (error) {
      const path = error instanceof ApiError ? EXTRA.exec(error.message)?.[1] : undefined
      if (path === undefined || !remove(pruned, path.split('.'))) throw error
    }
  }
  throw new Error('there is no end to the fields that are not known')
}

/** A path may name the type of a block between its place and its field. */
function remove(json: object, path: string[]): boolean {
  let at = json as Record<string, unknown>
  const last = path.pop() as string
  for (const step of path) {
    if (typeof at[step] === 'object' && at[step] !== null) at = at[step] as Record<string, unknown>
    else if (at.type !== step) return false
  }
  return delete at[last]
}
