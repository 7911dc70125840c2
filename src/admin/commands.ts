/** All admin commands except `check`: their usage, and what they do. */

import { chainOf, limitOf, nanoUsdOf, oneOf, rangeOf, tokensOf, UsageError } from './arguments.ts'
import { exportAudit, makeCheckpoint, readCheckpoint, verifyAudit } from './audit.ts'
import { showBudget } from './budget.ts'
import type { Command } from './command.ts'
import { listEncryptionKeys, listKeys, rotateKeys } from './keys.ts'
import { exportLedger, verifyLedger } from './ledger.ts'
import { LINK_COMMANDS } from './links/commands.ts'
import { groupsOf, printReport } from './report.ts'
import { REQUEST_COMMANDS } from './requests/commands.ts'
import { TEAM_COMMANDS } from './teams/commands.ts'
import {
  addUser,
  deleteUser,
  listUsers,
  resetPassword,
  restoreUser,
  setUserRole,
  signUserOut,
  suspendUser,
} from './users.ts'
import { WEBHOOK_COMMANDS } from './webhooks/commands.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)
const PERIODS = ['day', 'month'] as const
const COVERS = ['own_key', 'everything'] as const
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
  'user role': {
    usage: 'user role USERNAME --role member|auditor|admin',
    note: 'what they may do in the whole installation',
    options: ['role'],
    prepare({ role: wanted }, username) {
      const role = oneOf('role', wanted, ['member', 'auditor', 'admin'])
      return ({ services }) => done(setUserRole(services, username, role, print))
    },
  },
  'user suspend': {
    usage: 'user suspend USERNAME',
    note: 'ends their sessions and running answers, and keeps them out; nothing is deleted',
    options: [],
    prepare: (_values, username) => (gateway) =>
      done(suspendUser(gateway.services, username, print)),
  },
  'user restore': {
    usage: 'user restore USERNAME',
    note: 'lets a suspended user sign in again',
    options: [],
    prepare: (_values, username) => (gateway) =>
      done(restoreUser(gateway.services, username, print)),
  },
  'user delete': {
    usage: 'user delete USERNAME --yes',
    note: 'erases them permanently; what was billed stays',
    options: ['yes'],
    prepare({ yes }, username) {
      if (!yes) throw new UsageError('This cannot be undone. To do it, add --yes.')
      return ({ services }) => done(deleteUser(services, username, print))
    },
  },
  ...TEAM_COMMANDS,
  ...LINK_COMMANDS,
  ...WEBHOOK_COMMANDS,
  ...REQUEST_COMMANDS,
  'budget show': {
    usage: 'budget show USERNAME',
    note: 'limits, spent and reserved',
    options: [],
    prepare: (_values, username) => (gateway) => done(showBudget(gateway, username, print)),
  },
  'budget set': {
    usage:
      'budget set USERNAME --period day|month [--usd N] [--tokens N] [--covers own_key|everything]',
    note: 'what is left out has no limit; everything: also what teams pay for them',
    options: ['covers', 'period', 'usd', 'tokens'],
    prepare(values, username) {
      const period = oneOf('period', values.period, PERIODS)
      if (values.usd === undefined && values.tokens === undefined) {
        throw new UsageError('Give --usd, --tokens or both, or use budget reset.')
      }
      const limit = { nanoUsd: nanoUsdOf(values.usd), tokens: tokensOf(values.tokens) }
      const covers =
        values.covers === undefined ? undefined : oneOf('covers', values.covers, COVERS)
      return async (gateway) => {
        await gateway.services.budgetSettings.setForUser(username, period, limit, covers)
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
  report: {
    usage:
      'report [--group team,member,tag,model,day,payer] --format csv|jsonl [--from DAY] [--to DAY]',
    note: 'what was used and what it cost; by team and member unless told otherwise',
    options: ['group', 'format', 'to', 'from'],
    prepare({ group, format: wanted, from = '0001-01-01', to = '9999-12-31' }) {
      const [range, groups] = [rangeOf(from, to), groupsOf(group)]
      const format = oneOf('format', wanted, ['csv', 'jsonl'])
      return ({ repositories }) => done(printReport(repositories, range, groups, format, print))
    },
  },
  'audit verify': {
    usage: 'audit verify [--checkpoint FILE] [--chain ID]',
    note: 'recomputes every hash and MAC; FILE: a checkpoint kept elsewhere; exit code 1 on any fault',
    options: ['checkpoint', 'chain'],
    prepare(values) {
      const chain = chainOf(values.chain)
      const { checkpoint: path } = values
      const checkpoint = path === undefined ? undefined : readCheckpoint(path)
      return ({ services }) => verifyAudit(services, { chain, checkpoint }, print)
    },
  },
  'audit checkpoint': {
    usage: 'audit checkpoint',
    note: 'makes a signed checkpoint now; keep it outside of the database',
    options: [],
    prepare:
      () =>
      ({ services }) =>
        done(makeCheckpoint(services, print)),
  },
  'audit export': {
    usage: 'audit export --format csv|jsonl [--chain ID]',
    note: 'every event, with hashes',
    options: ['format', 'chain'],
    prepare(values) {
      const chain = chainOf(values.chain)
      const format = oneOf('format', values.format, ['csv', 'jsonl'])
      return ({ repositories }) => done(exportAudit(repositories, chain, format, print))
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
