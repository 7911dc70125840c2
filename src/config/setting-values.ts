/** Parsers for the values of settings, with their error messages. */

import { isIP } from 'node:net'
import { z } from 'zod'
import { AMOUNT_EXAMPLES, parseUsd } from '../text/usd-amount.ts'
import { databaseUrlProblem } from './database-url.ts'
import { parseEncryptionKey } from './encryption-key.ts'
import { parseBypass } from './no-proxy.ts'
import { TOOL_PREFIX_PATTERN, TOOL_PREFIX_RULE } from './tool-names.ts'
import { USERNAME_PATTERN, USERNAME_RULE } from './username.ts'

export const count = (min: number, max: number) => wholeNumber(min, max, 'a whole number')
export const seconds = (min: number, max: number) =>
  wholeNumber(min, max, 'a whole number of seconds')

const wholeNumber = (min: number, max: number, what: string) =>
  z
    .string()
    .refine((text) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max, {
      message: `must be ${what} from ${min} to ${max}`,
    })
    .transform(Number)

/** Decimal USD, exact to a nano-USD. */
export const usd = z
  .string()
  .refine((text) => parseUsd(text) !== undefined, `must be an amount in USD ${AMOUNT_EXAMPLES}`)
  .transform((text) => parseUsd(text) ?? 0n)

export const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
)

export const usernames = list.superRefine((names, context) => {
  const wrong = names.flatMap((name, index) => (USERNAME_PATTERN.test(name) ? [] : [index + 1]))
  if (wrong.length === 0) return
  const entries = wrong.length === 1 ? 'entry' : 'entries'
  context.addIssue({
    code: 'custom',
    message: `${entries} ${wrong.join(', ')} can be no username: each ${USERNAME_RULE}`,
  })
})

export const encryptionKey = z.string().transform((text, context) => {
  try {
    return parseEncryptionKey(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message })
    return z.NEVER
  }
})

export const databaseUrl = z.string().superRefine((text, context) => {
  const message = databaseUrlProblem(text)
  if (message !== undefined) context.addIssue({ code: 'custom', message })
})

export const trustProxy = z
  .string()
  .refine((text) => text === 'false' || /^[1-9]\d*$/.test(text) || isListOfNetworks(text), {
    message:
      'must be the number of proxies in front (1), or their addresses or subnets, comma separated',
  })
  .transform((text) => {
    if (text === 'false') return false
    return /^\d+$/.test(text) ? Number(text) : text
  })

/** What Express accepts besides a number (Express documentation: Behind proxies). */
function isListOfNetworks(text: string): boolean {
  return text.split(',').every((item) => {
    const [address = '', prefix, ...rest] = item.trim().split('/')
    if (/^(loopback|linklocal|uniquelocal)$/.test(address)) return prefix === undefined
    const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits)
    return bits > 0 && isPrefix && rest.length === 0
  })
}

/** `none` stands for an empty prefix, since blank counts as not set. */
export const toolPrefix = z
  .string()
  .regex(TOOL_PREFIX_PATTERN, TOOL_PREFIX_RULE)
  .transform((text) => (text === 'none' ? '' : text))

const webUrl = (example: string) =>
  z.url({
    protocol: /^https?$/,
    error: `must be a URL that begins with https:// or http://, for example ${example}`,
  })

/** Removes a trailing `/v1`, which other programs require: the paths have it already. */
export const apiUrl = webUrl('https://api.anthropic.com').transform((text) =>
  text.replace(/\/+$/, '').replace(/\/v1$/, ''),
)

/** Like most programs, takes a proxy without a scheme as plain HTTP. */
export const proxyUrl = z.string().transform((text, context) => {
  const url = toProxy(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`)
  if (url !== undefined) return url
  const message =
    'must look like http://proxy.example:3128, with a user as http://user:password@proxy.example:3128 ' +
    'where signs other than letters and digits are written as %40 and the like'
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

function toProxy(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const isBare = `${url.pathname.replace(/^\/$/, '')}${url.search}${url.hash}` === ''
  if (!/^https?:$/.test(url.protocol) || !isBare) return undefined
  try {
    decodeURIComponent(`${url.username}${url.password}`)
    return url
  } catch {
    return undefined
  }
}

/** Separated by commas or blanks. */
export const noProxy = z.string().transform((text, context) => {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '')
  const wrong = entries.flatMap((entry, index) => (parseBypass(entry) ? [] : [index + 1]))
  if (wrong.length === 0) return entries
  const which = wrong.length === 1 ? 'entry' : 'entries'
  context.addIssue({
    code: 'custom',
    message: `${which} ${wrong.join(', ')} can be no host: write example.com, .example.com, 10.0.0.7, 10.0.0.0/8 or *, without https://`,
  })
  return z.NEVER
})

export const redisUrl = z.url({
  protocol: /^rediss?$/,
  error: 'must be a URL that begins with redis:// or rediss://, for example redis://cache:6379',
})

/** Also accepts other words for yes and no. */
export const flag = z.stringbool({ error: 'must be true or false' })

export const bareOrigin = webUrl('https://gateway.example')
  .refine(isBareOrigin, 'must be scheme, host and port only, for example https://gateway.example')
  .transform((text) => new URL(text).origin)

function isBareOrigin(text: string): boolean {
  if (!URL.canParse(text)) return true
  const { pathname, search, hash, username, password } = new URL(text)
  return pathname === '/' && `${search}${hash}${username}${password}` === ''
}
