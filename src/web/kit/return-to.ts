/**
 * Where a visitor goes after signing in: one of our own pages, by its exact spelling.
 *
 * Addresses not on this list are dropped, not repaired: browsers interpret `//host`, `/\host`, tabs
 * and encoded slashes differently.
 */

const KNOWN_PATHS = [
  /^\/account(?:\/(?:key|connections|tokens|usage|password|data))?$/,
  /^\/account\/conversations(?:\/(?:new|search|[0-9a-f-]{36}(?:\/delete)?))?$/,
  /^\/account\/links\/public\?conversation=[0-9a-f-]{36}$/,
  /^\/account\/(?:shares|links)$/,
  /^\/shared\/share_[\w-]{43}(?:\/copy)?$/,
  /^\/account\/key\?link=[\w-]{1,128}$/,
  /^\/account\/teams(?:\/[0-9a-f-]{36}(?:\/(?:audit|conversations|money))?)?$/,
  /^\/admin(?:\/(?:users|teams|shares|audit))?$/,
  /^\/join\?invitation=invite_[\w-]{43}$/,
  /^\/connect\/[\w-]{1,64}(?:\?key=later)?$/,
]

/** @returns undefined unless it is one of our pages. */
export function knownReturnTo(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return KNOWN_PATHS.some((path) => path.test(value)) ? value : undefined
}
