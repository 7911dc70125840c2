/** Settings that list the names of hosts and the origins of web pages. */

import { isIPv6 } from 'node:net'
import { z } from 'zod'
import { list } from './setting-values.ts'

type Read = (entry: string) => string | undefined

/** @returns a list whose entries are what `read` makes of them; those of which it makes none are named. */
const listOf = (read: Read, what: string) =>
  list.transform((entries, context) => {
    const wrong = entries.flatMap((entry, index) => (read(entry) === undefined ? [index + 1] : []))
    if (wrong.length === 0) return entries.map((entry) => read(entry) as string)
    const which = wrong.length === 1 ? `entry ${wrong[0]} is` : `entries ${wrong.join(', ')} are`
    context.addIssue({ code: 'custom', message: `${which} not understood: ${what}` })
    return z.NEVER
  })

/** As URL has them: in small letters, IPv6 in brackets. A scheme and a port do not matter. */
export const hostNames = listOf(
  (entry) => urlOf(entry)?.hostname,
  'list host names, comma separated, like gateway.internal',
)

/** A bare host name is for every scheme and port; with a scheme it is this origin alone. */
export const pageOrigins = listOf((entry) => {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\/\*$/i.exec(entry) ?? []
  if (scheme !== undefined) return isWeb(scheme) ? undefined : entry.toLowerCase()
  const url = urlOf(entry)
  if (!url) return undefined
  if (entry.includes('://')) return `${url.protocol}//${url.host}`
  return url.port === '' ? url.hostname : undefined
}, 'list origins, comma separated, like https://app.example, or host names like app.example for every scheme and port')

/** What to listen on: IPv6 comes out without the brackets that it has in a URL. */
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

/** Of a host with nothing behind it. */
function urlOf(entry: string): URL | undefined {
  const isBareIpv6 = /^[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(entry)
  const text = isBareIpv6 ? `[${entry}]` : entry
  const written = text.includes('://') ? text : `http://${text}`
  if (/[*\s@]/.test(written) || !URL.canParse(written)) return undefined
  const url = new URL(written)
  const isBare = /^\/?$/.test(url.pathname) && url.search === '' && url.hash === ''
  return isBare && url.hostname !== '' ? url : undefined
}
