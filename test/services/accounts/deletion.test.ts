/** What is left of a user who deleted their account: figures, and nothing that names them. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../../src/database/open.ts'
import type { Caller } from '../../../src/services/access/caller.ts'
import { startSecondReplica } from '../../mcp/second-replica.ts'
import { dumpTables, placesOf } from '../../security/at-rest.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
  hasPostgresql,
} from '../../support/databases.ts'
import { browserSession, personalToken } from '../../support/signed-up.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

const CLAUDE = { chunkDelayMs: 40, chunkSize: 4 }
const SLOW_TEXT = 'word '.repeat(100)
const TAG = `tag-${randomBytes(6).toString('hex')}`
const DAYS = { from: '2020-01-01', to: '2999-12-31' }

const callerOf = (app: TestApp, user: TestUser): Promise<Caller> =>
  app.app.services.sessions.resolve(user.accessToken)

/** A row in every table that can have one of theirs. */
async function leaveTraces(app: TestApp, user: TestUser, client: TestClient): Promise<void> {
  const { repositories, services } = app.app
  const { userId } = user
  const said = await client.call('send_message', { message: 'hello', tag: TAG })
  if (said.isError) throw new Error(said.text)
  await client.call('set_budget', { period: 'day', limit_usd: 5 })
  await client.call('authenticate_user', { username: user.username, password: 'wrong' })
  const caller = await callerOf(app, user)
  const { id: grantId } = await personalToken(app, caller)
  await services.keyLinks.create(caller, 'account')
  const key = randomBytes(32)
  const expiresAt = new Date(Date.now() + 60_000)
  const record = { model: 'RefreshToken', key, sealed: randomBytes(8), expiresAt }
  await repositories.oauthRecords.put({ ...record, userId, grantId })
}

describeDatabases('deleting an account', (kind) => {
  let fresh: FreshDatabase
  let app: TestApp
  let ada: TestUser
  let eve: TestUser
  let adas: TestClient
  let eves: TestClient

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    app = await startApp({ kind, database: fresh, claude: CLAUDE })
    ada = await app.register()
    eve = await app.register()
    adas = await app.connect('legacy', ada.accessToken)
    eves = await app.connect('legacy', eve.accessToken)
    await leaveTraces(app, ada, adas)
    await leaveTraces(app, eve, eves)
  })
  afterAll(() => fresh.drop())

  const ledgerOf = async ({ userId }: TestUser) =>
    (await app.app.repositories.ledger.list(DAYS, '0', 100)).filter((row) => row.userId === userId)

  test('a wrong password, or somebody else’s, deletes nothing', async () => {
    const { accounts } = app.app.services
    const caller = await callerOf(app, ada)
    for (const password of ['wrong', eve.password]) {
      await expect(accounts.delete(caller, password)).rejects.toMatchObject({
        code: 'invalid_credentials',
      })
    }
    expect((await adas.call('get_conversations')).structured.total).toBe(1)
  })

  test('stops what runs, books it, and ends every session at once', async () => {
    const { accounts, sessions } = app.app.services
    const caller = await callerOf(app, ada)
    const { token } = await personalToken(app, caller, caller.scopes, 'another agent')
    const running = adas.call('send_message', { message: SLOW_TEXT, tag: TAG, wait_seconds: 50 })
    await expect.poll(() => app.claude.openStreams()).toBe(1)
    await accounts.delete(caller, ada.password)

    expect((await running).structured.error.code).toBe('cancelled')
    expect(app.claude.openStreams()).toBe(0)
    for (const ended of [ada.accessToken, token]) {
      await expect(sessions.resolve(ended)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
    await expect(accounts.checkPassword(ada.username, ada.password)).rejects.toMatchObject({
      code: 'invalid_credentials',
    })
    const booked = await ledgerOf(ada)
    expect(booked).toHaveLength(2)
    expect(booked.map(({ tag, username }) => ({ tag, username }))).toEqual(
      booked.map(() => ({ tag: null, username: null })),
    )
    expect(booked.every(({ outputTokens }) => outputTokens > 0)).toBe(true)
  })

  test('leaves others as they were, and a ledger that verifies', async () => {
    expect((await eves.call('get_conversations')).structured.total).toBe(1)
    expect((await eves.call('send_message', { message: 'still here' })).isError).toBe(false)
    expect((await ledgerOf(eve)).map(({ tag }) => tag)).toEqual([TAG, null])
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('stops what they sent in a conversation of another, and what another sends in theirs', async () => {
    const [cyd, dan] = [await app.register(), await app.register()]
    const { sharing } = app.app.services
    for (const [owner, guest, leaving] of [
      [eve, cyd, cyd],
      [dan, eve, dan],
    ] as const) {
      const [owners, guests] = [
        await app.connect('modern', owner.accessToken),
        await app.connect('modern', guest.accessToken),
      ]
      const { data } = (await owners.call('send_message', { message: 'begun' })).structured
      const conversationId = data.conversation_id
      const share = await sharing.share(await callerOf(app, owner), {
        conversationId,
        with: { username: guest.username },
        role: 'contributor',
      })
      await sharing.accept(await callerOf(app, guest), share.id)
      const sent = { conversation_id: conversationId, message: SLOW_TEXT, wait_seconds: 50 }
      const running = guests.call('send_message', sent).catch(() => undefined)
      await expect.poll(() => app.claude.openStreams()).toBe(1)
      await app.app.services.accounts.delete(await callerOf(app, leaving), leaving.password)
      await running
      expect(app.claude.openStreams()).toBe(0)
    }
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('the name and the address are free again', async () => {
    const { username, email } = ada
    const password = 'a brand new password'
    const { userId } = await app.app.services.accounts.signUp({ username, email, password })
    expect(userId).not.toBe(ada.userId)
    expect(await app.app.services.accounts.keyStatus(userId)).toBeNull()
    await app.app.services.accounts.delete(await browserSession(app, userId), password)
  })

  test('only the ledger still has their id, and nothing their name', async () => {
    await app.close()
    const database = await openDatabase(fresh)
    const dump = await dumpTables(database.db)
    await database.close()
    // A counter of requests is nobody's data, and gone a minute after its window.
    dump.delete('public.rate_limits')
    expect(placesOf(ada.userId, dump).sort()).toEqual([
      'public.audit_events',
      'public.ledger',
      'public.ledger_by_day',
      'public.usage_daily',
    ])
    for (const gone of [ada.username, ada.email, ada.apiKey])
      expect(placesOf(gone, dump)).toEqual([])
    const tablesOfEve = ['budgets', 'oauth_records', 'one_time_links', 'sign_in_failures']
    expect(placesOf(eve.userId, dump)).toEqual(
      expect.arrayContaining(tablesOfEve.map((table) => `public.${table}`)),
    )
  })
})

describe.runIf(hasPostgresql)('deleting an account (two replicas)', () => {
  test('stops an answer of the other replica', async () => {
    const first = await startApp({ kind: 'postgresql', claude: CLAUDE })
    const second = await startSecondReplica(first)
    try {
      const user = await first.register()
      const there = await second.connect('legacy', user.accessToken)
      const running = there.call('send_message', { message: SLOW_TEXT, wait_seconds: 50 })
      await expect.poll(() => first.claude.openStreams()).toBe(1)
      const caller = await callerOf(first, user)
      await first.app.services.accounts.delete(caller, user.password)
      expect((await running).isError).toBe(true)
      expect(first.claude.openStreams()).toBe(0)
      const booked = await first.app.repositories.ledger.list(DAYS, '0', 10)
      expect(booked.map(({ userId }) => userId)).toEqual([user.userId])
      expect(await first.app.repositories.ledgerAudit.listDrift()).toEqual([])
      await expect(there.call('get_conversations')).rejects.toThrow()
    } finally {
      await second.close()
      await first.close()
    }
  })
})
