/** The commands about webhooks. */

import { UsageError } from '../arguments.ts'
import type { Command } from '../command.ts'
import {
  actOnWebhook,
  addWebhook,
  deleteWebhook,
  listWebhooks,
  rotateWebhook,
  type WebhookAct,
} from './webhooks.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)

const act = (name: WebhookAct, done: string, note: string): Command => ({
  usage: `webhook ${name} WEBHOOK`,
  note,
  options: [],
  prepare: (_values, id) => (gateway) =>
    finished(actOnWebhook(gateway.services, name, id, done, print)),
})

export const WEBHOOK_COMMANDS: Record<string, Command> = {
  'webhook add': {
    usage: 'webhook add --url URL --events EVENT,... [--team TEAM]',
    note: 'prints the secret that signs; of the installation, or of a team',
    options: ['url', 'events', 'team'],
    prepare({ url, events, team }) {
      if (url === undefined) throw new UsageError('--url is missing.')
      if (events === undefined) throw new UsageError('--events is missing.')
      const given = { url, events: events.split(',').map((event) => event.trim()), team }
      return ({ services }) => finished(addWebhook(services, given, print))
    },
  },
  'webhook list': {
    usage: 'webhook list',
    note: 'all of them: hosts, events, and how they do',
    options: [],
    prepare:
      () =>
      ({ services }) =>
        finished(listWebhooks(services, print)),
  },
  'webhook rotate': {
    usage: 'webhook rotate WEBHOOK',
    note: 'prints a new secret; the old one signs as well for a day',
    options: [],
    prepare: (_values, id) => (gateway) => finished(rotateWebhook(gateway.services, id, print)),
  },
  'webhook test': act('test', 'a test is queued', 'sends it an event webhook.test'),
  'webhook disable': act(
    'disable',
    'disabled',
    'nothing more is sent to it; what is on its way is given up',
  ),
  'webhook enable': act('enable', 'enabled', 'sends to it again, from now on'),
  'webhook delete': {
    usage: 'webhook delete WEBHOOK --yes',
    note: 'for good',
    options: ['yes'],
    prepare({ yes }, id) {
      if (!yes) throw new UsageError('This cannot be undone. To do it, add --yes.')
      return ({ services }) => finished(deleteWebhook(services, id, print))
    },
  },
}

async function finished(work: Promise<void>): Promise<undefined> {
  await work
}
