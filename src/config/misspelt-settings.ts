/** Finds misspelt settings: names in the environment that are close to one of the gateway's. */

import { editsBetween } from '../text/edit-distance.ts'
import { SECRET_SETTINGS, SETTINGS } from './settings.ts'

type Issue = { path: readonly string[]; message: string }

const NAMES: readonly string[] = [
  ...Object.keys(SETTINGS),
  ...SECRET_SETTINGS.map((name) => `${name}_FILE`),
]

/** Names of other programs that are close by chance; proxies also in lower case. */
const OTHERS = /^(SSL_CERT_(FILE|DIR)|(all|ftp|http|https|no|rsync|socks)_proxy)$/i

/** Shorter names are close to anything. */
const SHORTEST = 6
const LONG = 10

/** @returns an issue with the probable name for each misspelt one that is not blank. */
export function misspeltSettings(env: Readonly<Record<string, string | undefined>>): Issue[] {
  return Object.entries(env).flatMap(([name, value]) => {
    const meant = (value ?? '').trim() === '' ? undefined : meantBy(name)
    if (meant === undefined) return []
    return [{ path: [name], message: `is no setting. Write ${meant}, or remove it` }]
  })
}

function meantBy(name: string): string | undefined {
  if (NAMES.includes(name) || OTHERS.test(name) || name.length < SHORTEST) return undefined
  const written = name.toUpperCase().replaceAll('-', '_')
  const near = NAMES.filter((known) => known.length >= SHORTEST)
    .map((known) => ({ known, edits: editsBetween(written, known) }))
    .sort((a, b) => a.edits - b.edits)
    .find(({ known, edits }) => edits <= (known.length < LONG ? 1 : 2))
  return near?.known
}
