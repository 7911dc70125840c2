/** Calls of the Messages API: through the gateway, with a token, a reservation and the ledger; and plain. */

import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { askText } from '../load/ask.ts'
import { type Call, postMessages } from '../load/calls.ts'
import type { Item, LoadResult } from '../load/job.ts'
import { ensure } from './case.ts'
import type { Bench } from './gateway.ts'
import type { Contender } from './rounds.ts'
import { complaintOf, ledgerSince } from './sends.ts'
import type { Site } from './site.ts'

export type ApiLoad = { connections: number; seconds: number; requests?: number }
/** `bytes`: about the length of the request's body. */
export type Shape = { bytes: number; isStream: boolean }

const SETTLE_MS = 10_000
const SETTLE_POLL_MS = 50
/** As source code is: short lines, quotes, and what JSON has to escape. */
const LINE = '  const answer = await client.ask("what is it?", { depth: 2 })\n'

const callOf = ({ bytes, isStream }: Shape): Call =>
  postMessages(
    [
      { role: 'user', text: LINE.repeat(Math.ceil(bytes / JSON.stringify(LINE).length)) },
      { role: 'assistant', text: 'I see.' },
    ],
    { stream: isStream },
  )

/** A personal token for each user, which otherwise takes a browser. */
export async function apiItems({ database, users }: Pick<Bench, 'database' | 'users'>) {
  const items: Item[] = []
  for (const { userId } of users) {
    const token = `cag_${randomBytes(32).toString('base64url')}`
    await sql`
      insert into sessions (id, user_id, kind, name, scopes, token_hash, expires_at)
      values (gen_random_uuid(), ${userId}::uuid, 'personal', ${token.slice(-8)}, '{messages:api}',
        sha256(${token}::bytea), now() + interval '1 day')`.execute(database.db)
    items.push({ headers: { 'x-api-key': token } })
  }
  return items
}

/** After every round the ledger must hold each answer once, and nothing may be reserved. */
export function gatewayApi(
  { server, database, databasePid }: Pick<Bench, 'server' | 'database' | 'databasePid'>,
  items: Item[],
  load: ApiLoad,
  shape: Shape,
): Contender {
  let lastId = '0'
  return {
    name: 'gateway',
    isOurs: true,
    pids: [server.pid],
    databasePid,
    job: { ...load, origins: [server.origin], ...callOf(shape), items },
    async prepare() {
      lastId = (await ledgerSince(database, '0')).lastId
    },
    check: (result) => settledComplaint(database, lastId, result),
  }
}

/** A call is booked just after its answer has ended. */
async function settledComplaint(database: Bench['database'], lastId: string, result: LoadResult) {
  const until = performance.now() + SETTLE_MS
  for (;;) {
    const complaint = complaintOf(await ledgerSince(database, lastId), result)
    if (complaint === undefined || performance.now() > until) return complaint
    await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))
  }
}

export async function portkeyApi(site: Site, load: ApiLoad, shape: Shape): Promise<Contender> {
  const { origin } = await site.upstream()
  const { name, pid, origin: own } = await site.portkey()
  const headers = {
    'x-portkey-provider': 'anthropic',
    'x-portkey-custom-host': `${origin}/v1`,
  }
  return {
    name,
    pids: [pid],
    job: { ...load, origins: [own], ...callOf(shape), items: [{ headers }] },
  }
}

/** @throws Error unless one call is forwarded, and booked by the gateway. */
export async function proveApi(site: Site, contenders: readonly Contender[]): Promise<void> {
  for (const { name, job, prepare, check } of contenders) {
    await prepare?.()
    const { requests } = await site.upstreamCounts()
    await askText(String(job.origins[0]), job, job.items[0])
    ensure((await site.upstreamCounts()).requests === requests + 1, `${name} forwards`)
    const complaint = await check?.({ requests: 1 } as LoadResult)
    ensure(complaint === undefined, String(complaint))
  }
}
