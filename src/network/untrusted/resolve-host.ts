/**
 * Resolves untrusted host names.
 *
 * Queries use separate sockets (c-ares), with a timeout and cancellation: the system's resolver
 * blocks one of the process's few threads for as long as a name server delays. Queries are queued
 * fairly per domain, so a slow name server delays only its own names. The system's resolver is used
 * only for names that the operator listed, which DNS may not have.
 */

import dns from 'node:dns'
import { lookup, Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { BoundedQueue } from '../../concurrency/bounded-queue.ts'
import { FairQueue } from '../../concurrency/fair-queue.ts'

/** For all queries, retries and queueing of a name. A document has 2.5 s altogether. */
const RESOLVE_WITHIN_MS = 2000
const TRY_MS = 700
const TRIES = 2

const tooMany = () => new Error('too many names are being resolved')

const queries = new FairQueue({
  concurrency: 16,
  concurrencyPerKey: 4,
  maxQueued: 128,
  refuse: tooMany,
})
const lookups = new BoundedQueue({ concurrency: 1, maxQueued: 32, refuse: tooMany })

/** Single-flight by name: concurrent callers share one query. */
const underWay = new Map<string, Promise<string[]>>()

/**
 * All addresses of a host, IPv4 first; an IP address resolves to itself.
 *
 * @param isListed by the operator: uses the system's resolver, including the hosts file.
 * @throws Error when there is none, or on a timeout.
 */
export function resolveHost(name: string, isListed: boolean): Promise<string[]> {
  if (isIP(name)) return Promise.resolve([name])
  const known = underWay.get(name)
  if (known !== undefined) return known
  const asked = (isListed ? lookUp(name) : query(name)).finally(() => underWay.delete(name))
  underWay.set(name, asked)
  return asked
}

const lookUp = (name: string) =>
  lookups.run(async () => (await lookup(name, { all: true })).map(({ address }) => address))

async function query(name: string): Promise<string[]> {
  // Resolved locally without DNS (RFC 6761, section 6.3).
  if (/(?:^|\.)localhost\.?$/i.test(name)) return ['127.0.0.1']
  const inTime = AbortSignal.timeout(RESOLVE_WITHIN_MS)
  return queries.run(domainOf(name), async () => {
    inTime.throwIfAborted()
    const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES })
    // The process's servers, which may differ from the system's.
    resolver.setServers(dns.getServers())
    const giveUp = () => resolver.cancel()
    inTime.addEventListener('abort', giveUp, { once: true })
    try {
      return addressesOf(
        await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]),
      )
    } finally {
      inTime.removeEventListener('abort', giveUp)
    }
  })
}

function addressesOf(answers: readonly PromiseSettledResult<string[]>[]): string[] {
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const failed = answers.find((answer) => answer.status === 'rejected')
  if (found.length === 0 && failed) throw failed.reason
  return found
}

/** An approximation: under a public suffix of two labels, unrelated names share a queue. */
const domainOf = (name: string) => name.split('.').slice(-2).join('.')
