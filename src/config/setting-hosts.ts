/** Settings that list the names of hosts and the origins of web pages. */

import { isIPv6 } from 'node:net'
import { z } from 'zod'
import { list } from './setting-values.ts'

type Read = (entry: string) => string | undefined

/** @returns a list of what `read` returns for each entry; the message names invalid entries. */
const listOf = (read: Read, what: string) =>
  list.transform((entries, context) => {
    const wrong = entries.flatMap((entry, index) => (read(entry) === undefined ? [index + 1] : []))
    if (wrong.length === 0) return entries.map((entry) => read(entry) as string)
    const which = wrong.length === 1 ? `entry ${wrong[0]} is` : `entries ${wrong.join(', ')} are`
    context.addIssue({ code: 'custom', message: `${which} not understood: ${what}` })
    return z.NEVER
  })

/** Normalized like `URL.hostname`: lower case, IPv6 in brackets. Scheme and port are ignored. */
export const hostNames = listOf(
  (entry) => urlOf(entry)?.hostname,
  'list host names, comma separated, like gateway.internal',
)

/** A bare host name allows every scheme and port; with a scheme only this origin. */
export const pageOrigins = listOf((entry) => {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\/\*$/i.exec(entry) ?? []
  if (scheme !== undefined) return isWeb(scheme) ? undefined : entry.toLowerCase()
  const url = urlOf(entry)
  if (!url) return undefined
  if (entry.includes('://')) return `${url.protocol}//${url.host}`
  return url.port === '' ? url.hostname : undefined
}, 'list origins, comma separated, like https://app.example, or host names like app.example for every scheme and port')

/** The address to listen on; IPv6 is returned without brackets. */
export const listenHost = z.string().transform((text, context) => {
  const host = text.replace(/^\[(.*)\]$/, '$1')
  const isAlone = isIPv6(host) || !/[:/]/.test(host)
  if (isAlone && urlOf(host) !== undefined) return host
  context.addIssue({
    code: 'custom',
    message:
      'must be an address or a host name of this machine alone, like 127.0.0.1, 0.0.0.0 or ::1; the port goes into PORT',
  })
  return z.NEVER
})

const isWeb = (scheme: string) => /^https?$/i.test(scheme)

/** Undefined unless it is only a host, with an optional scheme and port. */
function urlOf(entry: string): URL | undefined {
  const isBareIpv6 = /^[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(entry)
  const text = isBareIpv6 ? `[${entry}]` : entry
  const written = text.includes('://') ? text : `http://${text}`
  if (/[*\s@]/.test(written) || !URL.canParse(written)) return undefined
  const url = new URL(written)
  const isBare = /^\/?$/.test(url.pathname) && url.search === '' && url.hash === ''
  return isBare && url.hostname !== '' ? url : undefined
}
