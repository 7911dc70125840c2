/** Commands for the operator: `npm run admin -- <command>`. Uses the gateway's own settings. */

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { showBudget } from './admin/budget.ts'
import { listKeys, rotateKeys } from './admin/keys.ts'
import { exportLedger, verifyLedger } from './admin/ledger.ts'
import type { App } from './app.ts'
import type { Config } from './config.ts'

const USAGE = `Usage: npm run admin -- <command>

  ledger verify                                    recompute every sum; exit code 1 on any drift
  ledger export --format csv|jsonl [--from DAY] [--to DAY]
  budget show USERNAME
  budget set USERNAME --period day|month [--usd N] [--tokens N]   what is left out has no limit
  budget reset USERNAME --period day|month         back to the gateway's default
  keys list                                        the keys that sign access tokens
  keys rotate [--drop-old]                         a new one; --drop-old ends every access token

Days are UTC, as 2026-11-01. The embedded database is for one process: stop the gateway first.
`

const OPTIONS = {
  format: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  period: { type: 'string' },
  usd: { type: 'string' },
  tokens: { type: 'string' },
  'drop-old': { type: 'boolean' },
} as const

type Values = ReturnType<typeof parse>['values']
/** Looks at the arguments at once, so that a mistake costs nothing; then says whether all is well. */
type Command = (operand: string, values: Values) => (app: App) => Promise<boolean>

const print = (line: string) => void process.stdout.write(`${line}\n`)

const COMMANDS: Record<string, Command> = {
  'ledger verify':
    () =>
    ({ repositories }) =>
      verifyLedger(repositories, print),
  'ledger export': (_operand, values) => {
    const range = { from: dayOf(values.from, '0001-01-01'), to: dayOf(values.to, '9999-12-31') }
    const format = oneOf(values.format, ['csv', 'jsonl'])
    return async ({ repositories }) => {
      await exportLedger(repositories, range, format, print)
      return true
    }
  },
  'budget show': (username) => (app) => show(app, username),
  'budget set': (username, values) => {
    const limit = { nanoUsd: nanoUsdOf(values.usd), tokens: tokensOf(values.tokens) }
    const period = oneOf(values.period, ['day', 'month'])
    return async (app) => {
      await app.services.budgetSettings.setForUser(username, period, limit)
      return show(app, username)
    }
  },
  'budget reset': (username, values) => {
    const period = oneOf(values.period, ['day', 'month'])
    return async (app) => {
      await app.services.budgetSettings.setForUser(username, period, null)
      return show(app, username)
    }
  },
  'keys list':
    () =>
    async ({ services }) => {
      await listKeys(services, print)
      return true
    },
  'keys rotate':
    (_operand, values) =>
    async ({ services }) => {
      await rotateKeys(services, values['drop-old'] === true, print)
      return true
    },
}

async function show({ services }: App, username: string): Promise<boolean> {
  await showBudget(services, username, print)
  return true
}

function oneOf<T extends string>(value: string | undefined, choices: readonly T[]): T {
  const choice = choices.find((candidate) => candidate === value)
  if (choice === undefined) throw usageError(`Expected one of: ${choices.join(', ')}.`)
  return choice
}

function dayOf(value: string | undefined, otherwise: string): string {
  const day = value ?? otherwise
  if (/^\d{4}-\d{2}-\d{2}$/.test(day) && !Number.isNaN(Date.parse(day))) return day
  throw usageError('A day is written like 2026-11-01.')
}

function nanoUsdOf(value: string | undefined): bigint | null {
  if (value === undefined) return null
  const [, whole, fraction = ''] = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(value) ?? []
  if (whole === undefined) throw usageError('--usd takes an amount like 25 or 0.50.')
  return BigInt(whole + fraction.padEnd(9, '0'))
}

function tokensOf(value: string | undefined): number | null {
  if (value === undefined) return null
  if (!/^\d{1,15}$/.test(value)) throw usageError('--tokens takes a whole number.')
  return Number(value)
}

const usageError = (problem: string) => new Error(`${problem}\n\n${USAGE}`)

function parse() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true })
  } catch (error) {
    throw usageError((error as Error).message)
  }
}

async function main(): Promise<boolean> {
  const { positionals, values } = parse()
  const [area = '', action = '', operand = ''] = positionals
  const command = COMMANDS[`${area} ${action}`]
  if (!command) throw usageError('There is no such command.')
  if (area === 'budget' && operand === '') throw usageError('Whose budget?')
  return onApp(command(operand, values))
}

/** A mistyped DATA_DIR must not become a new and empty gateway, in which all is well. */
function refuseEmptyFolder({ url, dataDir }: Config['database']): void {
  if (url !== undefined || existsSync(join(dataDir, 'postgres'))) return
  throw new Error(`There is no gateway data in ${resolve(dataDir)}. Set DATA_DIR or DATABASE_URL.`)
}

/** Loads the gateway only now: that takes longer than most mistakes deserve. */
async function onApp(run: (app: App) => Promise<boolean>): Promise<boolean> {
  const { createApp } = await import('./app.ts')
  const { loadConfig } = await import('./config.ts')
  const { createLogger } = await import('./log.ts')
  const config = loadConfig()
  refuseEmptyFolder(config.database)
  const app = await createApp(config, { log: createLogger('silent') })
  try {
    return await run(app)
  } finally {
    await app.close(0)
  }
}

main()
  .then((isWell) => {
    process.exitCode = isWell ? 0 : 1
  })
  .catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 2
  })
