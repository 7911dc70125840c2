/** Very many answers of a process that is dead: all of them are closed, and soon. */

import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { newId } from '../../../src/crypto/random.ts'
import { createLogger } from '../../../src/log.ts'
import { vaultOf } from '../../mcp/vault-of.ts'
import { bareTurn, insertUser } from '../../support/bare-turns.ts'
import { describeDatabases, freshDatabaseOptions } from '../../support/databases.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

/** More than are read at once, in any case. */
const ANSWERS = { embedded: 460, postgresql: 1500 }
/** The first has as many answers as all of the others together. */
const USERS = 20

describeDatabases('very many answers of a dead process', (kind) => {
  const answers = ANSWERS[kind]

  /** As the process began them, which has not been heard of since. */
  async function leaveBehind(app: TestApp, leaseSeconds: number): Promise<void> {
    const { leases, turnBeginnings } = app.app.repositories
    const vault = await vaultOf(app)
    const users = await Promise.all(Array.from({ length: USERS }, () => insertUser(app.app.db)))
    const replicaId = newId()
    const begun: string[] = []
    const begin = async (userId: string) => {
      const turn = { ...bareTurn(userId), replicaId, leaseSeconds }
      const { wrapped, vault: own } = vault.createConversationKey(turn.conversationId, userId)
      const opening = { dataKey: wrapped, title: own.sealTitle('left'), model: turn.model }
      expect(await turnBeginnings.begin({ ...turn, opening })).toMatchObject({ outcome: 'begun' })
      begun.push(turn.answerId)
    }
    for (let n = 0; n < answers; n += USERS) {
      const [first, ...others] = users as [string, ...string[]]
      const half = others.slice(0, USERS / 2)
      await Promise.all([...half, ...half.map(() => first)].map(begin))
      // However long this takes, its process lives until all of them have begun.
      await leases.renew(replicaId, begun, leaseSeconds)
    }
  }

  const left = async (db: TestApp['app']['db']) => {
    const { rows } = await sql<Record<string, number>>`
      select
        (select count(*)::int from messages where status = 'running') as running,
        (select count(*)::int from conversations where running_message_id is not null) as stuck,
        (select count(*)::int from spending where reserved_nano_usd <> 0 or reserved_tokens <> 0)
          as reserved,
        (select count(*)::int from ledger where estimated = 'process_died') as booked`.execute(db)
    return rows[0]
  }
  const TIDY = { running: 0, stuck: 0, reserved: 0, booked: answers }

  const closedAtStart = async () => {
    const fresh = await freshDatabaseOptions(kind)
    const dead = await startApp({ kind, database: fresh })
    await leaveBehind(dead, 3600)
    expect(await left(dead.app.db)).toMatchObject({ running: answers * 2, stuck: answers })
    await dead.close()
    const app = await createApp(dead.config, { log: createLogger('silent') })
    expect(await left(app.db)).toEqual(TIDY)
    await app.close(0)
    await fresh.drop()
  }

  const closedInOneGo = async () => {
    const app = await startApp({ kind })
    await leaveBehind(app, 3600)
    // As if the time of a lease had gone by, at the same moment for all of them.
    await sql`update messages set lease_expires_at = now() - interval '1 s'
      where status = 'running' and role = 'assistant'`.execute(app.app.db)
    await expect.poll(() => left(app.app.db), { timeout: 100_000, interval: 250 }).toEqual(TIDY)
    const told = app.logLines.filter((line) => line.includes('closed answers of a dead process'))
    // Not some with every search, of which there is one in a few seconds.
    expect(told.map((line) => JSON.parse(line).answers)).toEqual([answers])
    await app.close()
  }

  // Only the embedded database has no other process that could close them.
  if (kind === 'embedded') test('are closed before the next process serves', closedAtStart)
  else test('are closed by a living one in one go', closedInOneGo)
})
