/**
 * Where a visitor was going before signing in: one of our own pages, by its exact spelling.
 *
 * Addresses that are not on this list are dropped, not repaired: browsers read `//host`, `/\host`,
 * tabs and encoded slashes each in their own way.
 */

const KNOWN_PATHS = [
  /^\/account(?:\/(?:key|connections|tokens|usage|password|data))?$/,
  /^\/account\/key\?link=[\w-]{1,128}$/,
  /^\/connect\/[\w-]{1,64}(?:\?key=later)?$/,
]

/** @returns undefined unless it is a page of ours to come back to. */
export function knownReturnTo(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return KNOWN_PATHS.some((path) => path.test(value)) ? value : undefined
}
