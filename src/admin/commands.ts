/** All admin commands except `check`: their usage, and what they do. */

import type { Repositories } from '../repositories/index.ts'
import type { Services } from '../services/index.ts'
import {
  limitOf,
  nanoUsdOf,
  type Option,
  oneOf,
  rangeOf,
  tokensOf,
  UsageError,
  type Values,
} from './arguments.ts'
import { showBudget } from './budget.ts'
import { listEncryptionKeys, listKeys, rotateKeys } from './keys.ts'
import { exportLedger, verifyLedger } from './ledger.ts'
import { addUser, deleteUser, listUsers, resetPassword, signUserOut } from './users.ts'

type Gateway = { services: Services; repositories: Repositories }
/** @returns false when a check failed, otherwise true or undefined. */
export type Run = (gateway: Gateway) => Promise<boolean | undefined>

export type Command = {
  /** Without `npm run admin --`. With USERNAME, a user's name follows the two words. */
  usage: string
  note: string
  options: readonly Option[]
  /** Validates the arguments before the gateway is loaded. @throws UsageError. */
  prepare(values: Values, username: string): Run
}

const print = (line: string) => void process.stdout.write(`${line}\n`)
const PERIODS = ['day', 'month'] as const
const USERS_PER_PAGE = 100
const MAX_USERS_PER_PAGE = 10_000

export const COMMANDS: Record<string, Command> = {
  'user add': {
    usage: 'user add USERNAME --email EMAIL',
    note: 'also with REGISTRATION=closed; prints a password',
    options: ['email'],
    prepare({ email }, username) {
      if (email === undefined) throw new UsageError('--email is missing.')
      return ({ services }) => done(addUser(services, { username, email }, print))
    },
  },
  'user list': {
    usage: 'user list [--limit N] [--after USERNAME]',
    note: `by name, ${USERS_PER_PAGE} unless told otherwise`,
    options: ['limit', 'after'],
    prepare({ limit, after = '' }) {
      const page = { after, limit: limitOf(limit, USERS_PER_PAGE, MAX_USERS_PER_PAGE) }
      return ({ services }) => done(listUsers(services, page, print))
    },
  },
  'user reset-password': {
    usage: 'user reset-password USERNAME',
    note: 'prints a new password; signs them out everywhere',
    options: [],
    prepare: (_values, username) => (gateway) =>
      done(resetPassword(gateway.services, username, print)),
  },
  'user sign-out': {
    usage: 'user sign-out USERNAME',
    note: 'ends every session, connection and token of theirs',
    options: [],
    prepare: (_values, username) => (gateway) =>
      done(signUserOut(gateway.services, username, print)),
  },
  'user delete': {
    usage: 'user delete USERNAME --yes',
    note: 'erases them for ever; what was billed stays',
    options: ['yes'],
    prepare({ yes }, username) {
      if (!yes) throw new UsageError('This cannot be undone. To do it, add --yes.')
      return ({ services }) => done(deleteUser(services, username, print))
    },
  },
  'budget show': {
    usage: 'budget show USERNAME',
    note: 'limits, spent and reserved',
    options: [],
    prepare: (_values, username) => (gateway) => done(showBudget(gateway, username, print)),
  },
  'budget set': {
    usage: 'budget set USERNAME --period day|month [--usd N] [--tokens N]',
    note: 'what is left out has no limit',
    options: ['period', 'usd', 'tokens'],
    prepare(values, username) {
      const period = oneOf('period', values.period, PERIODS)
      if (values.usd === undefined && values.tokens === undefined) {
        throw new UsageError('Give --usd, --tokens or both, or use budget reset.')
      }
      const limit = { nanoUsd: nanoUsdOf(values.usd), tokens: tokensOf(values.tokens) }
      return async (gateway) => {
        await gateway.services.budgetSettings.setForUser(username, period, limit)
        return done(showBudget(gateway, username, print))
      }
    },
  },
  'budget reset': {
    usage: 'budget reset USERNAME --period day|month',
    note: "back to the gateway's default",
    options: ['period'],
    prepare(values, username) {
      const period = oneOf('period', values.period, PERIODS)
      return async (gateway) => {
        await gateway.services.budgetSettings.setForUser(username, period, null)
        return done(showBudget(gateway, username, print))
      }
    },
  },
  'ledger verify': {
    usage: 'ledger verify',
    note: 'recomputes every sum; exit code 1 on any drift',
    options: [],
    prepare:
      () =>
      ({ repositories }) =>
        verifyLedger(repositories, print),
  },
  'ledger export': {
    usage: 'ledger export --format csv|jsonl [--from DAY] [--to DAY]',
    note: 'every billed call; days are UTC, like 2026-11-01',
    options: ['format', 'to', 'from'],
    prepare({ format: wanted, from = '0001-01-01', to = '9999-12-31' }) {
      const range = rangeOf(from, to)
      const format = oneOf('format', wanted, ['csv', 'jsonl'])
      return ({ repositories }) => done(exportLedger(repositories, range, format, print))
    },
  },
  'keys list': {
    usage: 'keys list',
    note: 'the keys that sign access tokens',
    options: [],
    prepare:
      () =>
      ({ services }) =>
        done(listKeys(services, print)),
  },
  'keys encryption': {
    usage: 'keys encryption',
    note: 'what is under which ENCRYPTION_KEY: whether an old one may go',
    options: [],
    prepare:
      () =>
      ({ services }) =>
        done(listEncryptionKeys(services, print)),
  },
  'keys rotate': {
    usage: 'keys rotate [--drop-old]',
    note: 'a new one; --drop-old ends every access token',
    options: ['drop-old'],
    prepare:
      (values) =>
      ({ services }) =>
        done(rotateKeys(services, values['drop-old'] === true, print)),
  },
}

async function done(work: Promise<void>): Promise<undefined> {
  await work
}
