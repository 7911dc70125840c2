/** The commands about requests for a higher limit. */

import { nanoUsdOf, UsageError } from '../arguments.ts'
import type { Command } from '../command.ts'
import { decideRequest, listRequests } from './requests.ts'

const print = (line: string) => void process.stdout.write(`${line}\n`)

export const REQUEST_COMMANDS: Record<string, Command> = {
  'request list': {
    usage: 'request list',
    note: 'open requests for a higher limit, oldest first, with their reasons',
    options: [],
    prepare:
      () =>
      ({ services }) =>
        done(listRequests(services, print)),
  },
  'request approve': {
    usage: 'request approve REQUEST [--usd N]',
    note: 'grants what was asked for, or --usd, until the day or month is over',
    options: ['usd'],
    prepare({ usd }, id) {
      const nanoUsd = nanoUsdOf(usd) ?? undefined
      const [request, decision] = [idOf(id), { isApproved: true, nanoUsd }]
      return ({ services }) => done(decideRequest(services, request, decision, print))
    },
  },
  'request deny': {
    usage: 'request deny REQUEST',
    note: 'the limit stays as it is',
    options: [],
    prepare(_values, id) {
      const request = idOf(id)
      return ({ services }) => done(decideRequest(services, request, { isApproved: false }, print))
    },
  },
}

function idOf(id: string): string {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id
  throw new UsageError('REQUEST is an id that request list prints.')
}

async function done(work: Promise<void>): Promise<undefined> {
  await work
}
