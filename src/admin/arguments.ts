/** Parses the arguments of an admin command. */

import { parseArgs } from 'node:util'
import { AMOUNT_EXAMPLES, parseUsd } from '../text/usd-amount.ts'

const OPTIONS = {
  after: { type: 'string' },
  chain: { type: 'string' },
  checkpoint: { type: 'string' },
  covers: { type: 'string' },
  daily: { type: 'string' },
  'drop-old': { type: 'boolean' },
  email: { type: 'string' },
  events: { type: 'string' },
  format: { type: 'string' },
  from: { type: 'string' },
  group: { type: 'string' },
  limit: { type: 'string' },
  monthly: { type: 'string' },
  'on-departure': { type: 'string' },
  owner: { type: 'string' },
  period: { type: 'string' },
  public: { type: 'boolean' },
  remove: { type: 'boolean' },
  role: { type: 'string' },
  'shared-by': { type: 'string' },
  team: { type: 'string' },
  to: { type: 'string' },
  tokens: { type: 'string' },
  url: { type: 'string' },
  usd: { type: 'string' },
  user: { type: 'string' },
  yes: { type: 'boolean' },
} as const

const HELP = { help: { type: 'boolean', short: 'h' } } as const

export type Option = keyof typeof OPTIONS
export type Values = {
  [Name in Option]?: (typeof OPTIONS)[Name]['type'] extends 'boolean' ? boolean : string
}

/** The command line is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The words that are not options, and whether help is requested. Accepts invalid options. */
export function wordsOf(args: readonly string[]): { words: string[]; wantsHelp: boolean } {
  const options = { ...OPTIONS, ...HELP }
  const parsed = parseArgs({
    args: withNegatives(args),
    options,
    allowPositionals: true,
    strict: false,
  })
  return { words: parsed.positionals, wantsHelp: parsed.values.help === true }
}

/** @throws UsageError for an option that is not of this command, or has no value. */
export function valuesOf(args: readonly string[], allowed: readonly Option[]): Values {
  const options = Object.fromEntries(allowed.map((name) => [name, OPTIONS[name]]))
  try {
    return parseArgs({ args: withNegatives(args), options, allowPositionals: true })
      .values as Values
  } catch (error) {
    throw new UsageError(inPlainEnglish(error))
  }
}

/** Replaces the messages of parseArgs, which explain positional arguments. */
function inPlainEnglish(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const [option = ''] = /--?[\w-]+/.exec(message) ?? []
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return `${option} is no option of this command.`
  if (code !== 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE') return message
  return message.includes('does not take')
    ? `${option} takes no value.`
    : `${option} needs a value.`
}

/** Rewrites `--usd -5` to `--usd=-5`, so that it counts as a value, though a wrong one. */
function withNegatives(args: readonly string[]): string[] {
  return args.flatMap((arg, index) => {
    const next = args[index + 1] ?? ''
    if (isBareOption(arg) && isNegative(next)) return [`${arg}=${next}`]
    return isNegative(arg) && isBareOption(args[index - 1] ?? '') ? [] : [arg]
  })
}

const isBareOption = (arg: string) => /^--[a-z-]+$/.test(arg)
const isNegative = (arg: string) => /^-[\d.]/.test(arg)

export function oneOf<T extends string>(
  option: Option,
  value: string | undefined,
  choices: readonly T[],
): T {
  const choice = choices.find((candidate) => candidate === value)
  if (choice !== undefined) return choice
  throw new UsageError(`--${option} takes one of: ${choices.join(', ')}.`)
}

function dayOf(day: string): string {
  if (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day))) return day
  throw new UsageError('A day is written like 2026-11-01.')
}

/** @throws UsageError also for days in the wrong order. */
export function rangeOf(from: string, to: string): { from: string; to: string } {
  const range = { from: dayOf(from), to: dayOf(to) }
  if (from > to) throw new UsageError('--from must not be after --to.')
  return range
}

export function nanoUsdOf(value: string | undefined, option: Option = 'usd'): bigint | null {
  if (value === undefined) return null
  refuseNegative(option, value)
  const nanoUsd = parseUsd(value)
  if (nanoUsd !== undefined) return nanoUsd
  // A shell expands an unquoted $5 to nothing.
  throw new UsageError(`--${option} takes an amount ${AMOUNT_EXAMPLES} (in single quotes: '$5').`)
}

export function tokensOf(value: string | undefined): number | null {
  if (value === undefined) return null
  refuseNegative('tokens', value)
  if (!/^\d{1,15}$/.test(value)) throw new UsageError('--tokens takes a whole number.')
  return Number(value)
}

/** @throws UsageError unless it is a UUID, or not given. */
export function chainOf(value: string | undefined): string | undefined {
  if (value === undefined || isId(value)) return value
  throw new UsageError('--chain takes the id of a team, or of the installation (all zeros).')
}

/** @throws UsageError unless it is a UUID, or not given. */
export function afterIdOf(value: string | undefined): string | undefined {
  if (value === undefined || isId(value)) return value
  throw new UsageError('--after takes the id of a link.')
}

const isId = (value: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)

export function limitOf(value: string | undefined, otherwise: number, most: number): number {
  const limit = Number(value ?? otherwise)
  if (Number.isInteger(limit) && limit >= 1 && limit <= most) return limit
  throw new UsageError(`--limit takes a whole number from 1 to ${most}.`)
}

function refuseNegative(option: Option, value: string): void {
  if (isNegative(value)) throw new UsageError(`--${option}: an amount cannot be negative.`)
}
