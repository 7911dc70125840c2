/**
 * Where a visitor goes after signing in: one of our own pages, by its exact spelling.
 *
 * Addresses not on this list are dropped, not repaired: browsers interpret `//host`, `/\host`, tabs
 * and encoded slashes differently.
 */

const KNOWN_PATHS = [
  /^\/account(?:\/(?:key|connections|tokens|usage|password|data|import|requests))?$/,
  /^\/account\/conversations(?:\/(?:new|search|[0-9a-f-]{36}(?:\/delete)?))?$/,
  /^\/account\/conversations\?filter=[a-z]{1,16}$/,
  /^\/account\/conversations\/[0-9a-f-]{36}\/edit\/[0-9a-f-]{36}$/,
  /^\/account\/conversations\/[0-9a-f-]{36}\/export\?format=(?:markdown|json)$/,
  /^\/account\/links\/public\?conversation=[0-9a-f-]{36}$/,
  /^\/account\/links\/[0-9a-f-]{36}\/update$/,
  /^\/account\/(?:shares|links)(?:\?conversation=[0-9a-f-]{36})?$/,
  /^\/shared\/share_[\w-]{43}(?:\/copy)?$/,
  /^\/account\/key\?link=[\w-]{1,128}$/,
  /^\/account\/teams(?:\/[0-9a-f-]{36}(?:\/(?:audit|conversations|money|webhooks))?)?$/,
  /^\/admin(?:\/(?:users|teams|shares|audit|requests|webhooks))?$/,
  /^\/join\?invitation=invite_[\w-]{43}$/,
  /^\/connect\/[\w-]{1,64}(?:\?key=later)?$/,
]

/** @returns undefined unless it is one of our pages. */
export function knownReturnTo(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  return KNOWN_PATHS.some((path) => path.test(value)) ? value : undefined
}

/**
 * Where a visitor goes on whose session ended before their form was sent: to the page that it is on,
 * as a rule, which is the nearest one above the address that it is sent to.
 */
export function pageAbove(path: string): string {
  let above = path
  while (above !== '' && knownReturnTo(above) === undefined) {
    above = above.slice(0, above.lastIndexOf('/'))
  }
  return above === '' ? path : above
}
