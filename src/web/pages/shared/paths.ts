/** The addresses of links. Their secrets are in no log: what is logged of a path is its pattern. */

import { SHARED_PATH } from '../../../services/conversations/sharing/links.ts'

/** For Express. */
export const SHARED_PATTERN = `${SHARED_PATH}/:token`

/** By what the request log calls them. Matches every spelling that Express takes for the same. */
export const LOGGED_PATTERNS: Readonly<Record<string, RegExp>> = {
  [SHARED_PATTERN]: /^\/shared\/[^/]+\/?$/i,
  [`${SHARED_PATTERN}/copy`]: /^\/shared\/[^/]+\/copy\/?$/i,
}

/** Whether it is an address that a link can have. */
export const isSharedPath = (path: string) => /^\/shared\/share_[\w-]{43}(?:\/copy)?$/.test(path)
