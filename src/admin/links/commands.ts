/** The commands about links to conversations. */

import { afterIdOf, limitOf, UsageError } from '../arguments.ts'
import type { Command } from '../command.ts'
import { listLinks, revokeAllLinks } from './links.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)
const LINKS_PER_PAGE = 1000
const MAX_LINKS_PER_PAGE = 10_000

export const LINK_COMMANDS: Record<string, Command> = {
  'links list': {
    usage: 'links list [--limit N] [--after LINK]',
    note: `links to conversations that work: ids and figures, ${LINKS_PER_PAGE} unless told otherwise`,
    options: ['limit', 'after'],
    prepare({ limit, after }) {
      const page = {
        after: afterIdOf(after),
        limit: limitOf(limit, LINKS_PER_PAGE, MAX_LINKS_PER_PAGE),
      }
      return ({ services }) => done(listLinks(services, page, print))
    },
  },
  'links revoke-all': {
    usage: 'links revoke-all [--public] --yes',
    note: 'ends the links of all users, or only those that need no account',
    options: ['public', 'yes'],
    prepare(values) {
      if (!values.yes) throw new UsageError('This cannot be undone. To do it, add --yes.')
      return ({ services }) => done(revokeAllLinks(services, values.public === true, print))
    },
  },
}

async function done(work: Promise<void>): Promise<undefined> {
  await work
}
