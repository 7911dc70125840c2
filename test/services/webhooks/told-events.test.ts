/** What programs elsewhere are told of what is recorded. */

import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SYSTEM } from '../../../src/services/audit/audit-actor.ts'
import {
  TEAM_WEBHOOK_EVENTS,
  toldOf,
  WEBHOOK_EVENTS,
} from '../../../src/services/audit/told-events.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { browserSession, CHOSEN_PASSWORD, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { newTeam } from '../../support/teams.ts'

test('an act on a team from outside is told once, with its team', () => {
  const event = { action: 'member.added', actor: SYSTEM, target: { kind: 'user', id: 'u' } }
  expect(toldOf(event)).toBeUndefined()
  expect(toldOf({ ...event, teamId: 't', detail: { role: 'admin' } })).toEqual({
    ...{ event: 'member.added', teamId: 't' },
    data: { user_id: 'u', role: 'admin' },
  })
  expect(toldOf({ action: 'session.begun', actor: SYSTEM })).toBeUndefined()
})

test('a link is told of once, however many teams it concerns', () => {
  const event = { action: 'link.public_created', actor: SYSTEM, target: { kind: 'link', id: 'l' } }
  expect(toldOf(event)).toMatchObject({ event: 'link.public_created', teamId: null })
  expect(toldOf({ ...event, teamId: 't' })).toBeUndefined()
})

test('teams are told of nothing that others are not', () => {
  for (const event of TEAM_WEBHOOK_EVENTS) expect(WEBHOOK_EVENTS).toContain(event)
  expect(TEAM_WEBHOOK_EVENTS).not.toContain('sign_in.locked')
})

describeDatabases('what is told of what happens', (kind) => {
  const env = {
    LINKS: 'public',
    SIGN_IN_FAILURES_PER_ACCOUNT: '3',
    ADMIN_USERNAMES: 'root',
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  }
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env })
    // What is queued stays where it is.
    await app.app.services.upkeep.stop()
    await sql`delete from webhook_events`.execute(app.app.db)
  })
  afterAll(() => app.close())

  /** Since the last time. */
  const told = async () => {
    const rows = await app.app.repositories.webhookEvents.take(100)
    return rows.map(({ event, teamId, data }) => ({ event, teamId, data }))
  }

  test('people who come into a team and leave it', async () => {
    const { services } = app.app
    const [ada, bob] = [await app.register(), await app.register()]
    const team = await newTeam(app, [ada])
    await told()
    await services.teamMembers.add(bob.userId, team.id, 'member')
    await services.teamMembers.remove('operator', team.id, bob.username)
    const about = { user_id: bob.userId, role: 'member' }
    expect(await told()).toEqual([
      { event: 'member.added', teamId: team.id, data: about },
      { event: 'member.removed', teamId: team.id, data: { ...about, left: false } },
    ])
  })

  test('a public link, and no other', async () => {
    const ada = await signUp(app)
    const conversationId = await keepConversation(app, ada.userId, ['canary'], 'an answer')
    const caller = await browserSession(app, ada.userId)
    await told()
    const { links } = app.app.services
    await links.make(caller, { conversationId, readers: 'signed-in' })
    const { id } = await links.make(caller, { conversationId, readers: 'public', label: 'canary' })
    expect(await told()).toEqual([
      {
        ...{ event: 'link.public_created', teamId: null },
        data: { link_id: id, conversation_id: conversationId, days: 30 },
      },
    ])
  })

  test('an account that is paused, once', async () => {
    const { services } = app.app
    const ada = await signUp(app)
    await told()
    const wrong = () => services.accounts.checkPassword(ada.username, 'wrong').catch(() => {})
    for (let tries = 1; tries <= 2; tries++) await wrong()
    expect(await told()).toEqual([])
    for (let tries = 3; tries <= 6; tries++) await wrong()
    expect(await told()).toEqual([
      { event: 'sign_in.locked', teamId: null, data: { user_id: ada.userId, failures: 3 } },
    ])
    await expect(
      services.accounts.checkPassword(ada.username, CHOSEN_PASSWORD),
    ).rejects.toMatchObject({ code: 'rate_limited' })
  })

  test('an account that is paused on several replicas, once in a quarter of an hour', async () => {
    // The embedded database has one process: there this one is its own other.
    const { databaseUrl: url, dataDir } = app
    const other = url ? await startApp({ kind, database: { url, dataDir }, env }) : app
    await other.app.services.upkeep.stop()
    const ada = await signUp(app)
    await told()
    const guess = ({ app: { services } }: TestApp) =>
      services.accounts.checkPassword(ada.username, 'wrong').catch(() => {})
    const pass = (which: string) =>
      sql`update sign_in_failures set failed_at = failed_at - interval '15 minutes'
        where user_id = ${ada.userId}::uuid and ${sql.raw(which)}`.execute(app.app.db)
    const paused = { event: 'sign_in.locked', teamId: null }
    for (let tries = 1; tries <= 3; tries++) await guess(app)
    expect(await told()).toMatchObject([paused])
    // The oldest does not count any more, and the next one pauses the account again.
    await pass(
      'id = (select min(f.id) from sign_in_failures f where f.user_id = sign_in_failures.user_id)',
    )
    await guess(other)
    expect(await told()).toEqual([])
    await pass('true')
    await sql`update rate_limits set reset_at = now() where key like 'sign-in-locked:%'`.execute(
      app.app.db,
    )
    for (let tries = 1; tries <= 3; tries++) await guess(other)
    expect(await told()).toMatchObject([paused])
    if (other !== app) await other.close()
  })

  test('a key that Anthropic refuses, a user’s and a team’s, once', async () => {
    const { keyRejections } = app.app.services
    const [ada] = [await app.register()]
    const team = await newTeam(app, [ada])
    const key = await app.app.db
      .selectFrom('teamKeys')
      .select(['id', 'lastFour'])
      .where('teamId', '=', team.id)
      .executeTakeFirstOrThrow()
    const own = await app.app.db
      .selectFrom('apiKeys')
      .select('lastFour')
      .where('userId', '=', ada.userId)
      .executeTakeFirstOrThrow()
    await told()
    const ofTeam = { userId: ada.userId, team: { teamId: team.id, keyId: key.id } }
    for (let i = 0; i < 2; i++) {
      await keyRejections.note({ userId: ada.userId }, true)
      await keyRejections.note(ofTeam, true)
    }
    const refused = [
      {
        ...{ event: 'key.rejected', teamId: null },
        data: { key_of: 'user', user_id: ada.userId, last_four: own.lastFour },
      },
      {
        ...{ event: 'key.rejected', teamId: team.id },
        data: { key_of: 'team', user_id: null, last_four: key.lastFour },
      },
    ]
    expect(await told()).toEqual(refused)
    await keyRejections.note(ofTeam, false)
    await keyRejections.note(ofTeam, true)
    expect(await told()).toEqual([refused[1]])
  })

  test('a checkpoint of the audit log', async () => {
    await told()
    const text = await app.app.services.audit.checkpoints.make()
    expect(await told()).toEqual([
      { event: 'audit.checkpoint', teamId: null, data: { checkpoint: text } },
    ])
  })

  test('holds no text, title or name of a person', async () => {
    const { services } = app.app
    const [ada, bob] = [await app.register(), await app.register()]
    const team = await newTeam(app, [ada, bob])
    await services.teamMembers.setRole('operator', team.id, bob.username, 'admin')
    await services.teamMembers.remove('operator', team.id, bob.username)
    const text = JSON.stringify(await told())
    for (const secret of [ada.username, bob.username, team.apiKey]) {
      expect(text).not.toContain(secret)
    }
  })
})
