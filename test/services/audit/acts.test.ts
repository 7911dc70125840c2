/** Which acts the audit log has, through the running gateway. */

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { browserSession } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { newTeam } from '../../support/teams.ts'

describeDatabases('acts in the audit log', (kind) => {
  let app: TestApp

  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const events = async () => {
    const { rows } = await sql<Record<string, string | null>>`
      select action, actor_kind, actor_id::text, session_id::text, address_prefix, target_kind,
        target_id, detail
      from audit_events order by seq`.execute(app.app.db)
    return rows
  }

  test('has what a user and the operator do, with session and network, and no name or key', async () => {
    const { username, userId, accessToken } = await app.register()
    const client = await app.connect('modern', accessToken)
    await client.call('set_budget', { period: 'day', limit_usd: 2 })
    await client.call('update_api_key', {
      anthropic_api_key: 'sk-ant-api03-canary-in-the-log-wxyz',
    })
    await client.call('rotate_token')
    const { services } = app.app
    await services.budgetSettings.setForUser(username, 'month', { nanoUsd: 5n, tokens: null })
    await services.userAdministration.resetPassword(username)
    await services.userAdministration.delete('operator', username)
    const found = await events()
    expect(found.map(({ action, actorKind }) => [action, actorKind])).toEqual([
      ['user.added', 'user'],
      ['session.begun', 'user'],
      ['budget.set', 'user'],
      ['key.set', 'user'],
      ['session.begun', 'user'],
      ['budget.set', 'operator'],
      ['password.reset', 'operator'],
      ['user.deleted', 'operator'],
    ])
    const [, begun, budget] = found
    expect(begun).toMatchObject({ actorId: userId, targetKind: 'session' })
    expect(budget).toMatchObject({
      actorId: userId,
      sessionId: begun?.targetId,
      addressPrefix: '127.0.0.0/24',
      targetId: userId,
    })
    expect(JSON.parse(budget?.detail ?? '')).toEqual({
      period: 'day',
      setBy: 'user',
      nanoUsd: '2000000000',
      tokens: null,
    })
    const text = JSON.stringify(found)
    for (const canary of [username, 'example.com', 'sk-ant', 'canary']) {
      expect(text).not.toContain(canary)
    }
    expect(await services.audit.verification.run()).toMatchObject({ events: 8, faults: [] })
  })

  test('has who shared, published, exported, imported and deleted conversations, and no text', async () => {
    const [ada, bob] = [await app.register(), await app.register()]
    const adas = await app.connect('modern', ada.accessToken)
    const sent = await adas.call('send_message', { message: 'canary of a title' })
    const { conversation_id } = sent.structured.data
    const shared = async (recipient: object) => {
      const wanted = { conversation_id, with: recipient, role: 'viewer' }
      return (await adas.call('share_conversation', wanted)).structured.data.share_id as string
    }
    const since = (await events()).length
    const grant = await shared({ username: bob.username })
    const { sharing, links } = app.app.services
    await sharing.accept(await browserSession(app, bob.userId), grant)
    await adas.call('revoke_share', { share_id: grant })
    const link = await shared({ link: 'signed-in' })
    await links.moveOn(await browserSession(app, ada.userId), link)
    await adas.call('revoke_share', { share_id: link })
    await shared({ username: bob.username })
    await shared({ link: 'signed-in' })
    await adas.call('revoke_share', { conversation_id, all: true })
    await adas.call('export_conversation', { conversation_id, format: 'json' })
    await adas.call('export_my_data')
    await fetch(`${app.baseUrl}/account/import`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${ada.accessToken}`, 'content-type': 'application/json' },
      body: '[]',
    })
    await adas.call('delete_conversation', { conversation_id })
    const found = (await events()).slice(since)
    const acts = found.filter(({ action }) => action !== 'session.begun')
    expect(acts.map(({ action, targetKind }) => [action, targetKind])).toEqual([
      ['grant.created', 'grant'],
      ['grant.accepted', 'grant'],
      ['grant.revoked', 'grant'],
      ['link.created', 'link'],
      ['link.moved', 'link'],
      ['link.revoked', 'link'],
      ['grant.created', 'grant'],
      ['link.created', 'link'],
      ['grant.revoked', 'conversation'],
      ['link.revoked', 'conversation'],
      ['export.conversation', 'conversation'],
      ['export.account', 'user'],
      ['import.done', 'user'],
      ['conversation.deleted', 'conversation'],
    ])
    expect(acts.map(({ actorId }) => actorId)).toEqual(
      acts.map(({ action }) => (action === 'grant.accepted' ? bob.userId : ada.userId)),
    )
    expect(acts.at(-1)).toMatchObject({ targetId: conversation_id, actorKind: 'user' })
    expect(JSON.parse(acts.at(-1)?.detail ?? '')).toEqual({ messages: 2, shares: 0, links: 0 })
    expect(acts[0]).toMatchObject({ targetId: grant, addressPrefix: '127.0.0.0/24' })
    expect(JSON.parse(acts[0]?.detail ?? '')).toEqual({
      conversationId: conversation_id,
      recipientId: bob.userId,
      role: 'viewer',
      teamId: null,
      accepted: false,
    })
    const text = JSON.stringify(acts)
    for (const canary of ['canary', ada.username, bob.username, 'share_']) {
      expect(text).not.toContain(canary)
    }
    expect((await app.app.services.audit.verification.run()).faults).toEqual([])
  })

  test('what concerns a team is in its chain too: shares, links and deletions', async () => {
    const [ada, bob] = [await app.register(), await app.register()]
    const [own, shared] = [await newTeam(app, [ada]), await newTeam(app, [ada, bob])]
    const adas = await app.connect('modern', ada.accessToken)
    const sent = await adas.call('send_message', { message: 'canary of a title' })
    const { conversation_id } = sent.structured.data
    await app.app.db
      .updateTable('conversations')
      .set({ teamId: own.id })
      .where('id', '=', conversation_id)
      .execute()
    const share = async (recipient: object) =>
      (await adas.call('share_conversation', { conversation_id, with: recipient, role: 'viewer' }))
        .structured.data.share_id as string
    const chain = async ({ id }: { id: string }) => {
      const { rows } = await sql<{ action: string; detail: string }>`
        select action, detail from audit_events where chain = ${id}::uuid
          and action ~ '^(grant|link|conversation)' order by seq`.execute(app.app.db)
      return rows.map(({ action }) => action)
    }
    await adas.call('revoke_share', { share_id: await share({ team: shared.name }) })
    await adas.call('revoke_share', {
      share_id: await share({ link: 'signed-in', team: shared.name }),
    })
    await share({ username: bob.username })
    await adas.call('revoke_share', { conversation_id, all: true })
    await adas.call('delete_conversation', { conversation_id })
    const [made, ended] = ['grant.created', 'grant.revoked']
    expect(await chain(shared)).toEqual([made, ended, 'link.created', 'link.revoked'])
    expect(await chain(own)).toEqual([
      ...[made, ended, 'link.created', 'link.revoked', made, ended],
      'conversation.deleted',
    ])
    expect((await app.app.services.audit.verification.run()).faults).toEqual([])
  })

  test('a branch is not in it', async () => {
    const { accessToken } = await app.register()
    const client = await app.connect('modern', accessToken)
    const sent = await client.call('send_message', { message: 'to be copied' })
    const since = (await events()).length
    const { conversation_id } = sent.structured.data
    await client.call('branch_conversation', { conversation_id })
    expect(await events()).toHaveLength(since)
  })

  test('what cannot be recorded is not done: shares, links, exports, deletions', async () => {
    const { accessToken } = await app.register()
    const client = await app.connect('modern', accessToken)
    const sent = await client.call('send_message', { message: 'stays' })
    const { conversation_id } = sent.structured.data
    await sql`alter table audit_heads rename to audit_heads_away`.execute(app.app.db)
    const tried = [
      client.call('share_conversation', { conversation_id, with: 'everybody', role: 'viewer' }),
      client.call('share_conversation', {
        conversation_id,
        with: { link: 'signed-in' },
        role: 'viewer',
      }),
      client.call('export_conversation', { conversation_id, format: 'markdown' }),
      client.call('delete_conversation', { conversation_id }),
    ]
    const ends = await Promise.all(tried)
    await sql`alter table audit_heads_away rename to audit_heads`.execute(app.app.db)
    for (const { isError, text } of ends) {
      expect(isError).toBe(true)
      expect(text).not.toContain('stays')
    }
    const { given, links } = (await client.call('get_shares')).structured.data
    expect({ given, links }).toEqual({ given: [], links: [] })
    expect((await client.call('get_conversation_history', { conversation_id })).isError).toBe(false)
  })

  test('a sign-in whose event cannot be written does not happen', async () => {
    const { username, password } = await app.register()
    await sql`alter table audit_heads rename to audit_heads_away`.execute(app.app.db)
    const count = async () => (await sql`select from sessions`.execute(app.app.db)).rows.length
    const before = await count()
    const signedIn = app.app.services.accounts.authenticate(username, password)
    await expect(signedIn).rejects.toThrow()
    await sql`alter table audit_heads_away rename to audit_heads`.execute(app.app.db)
    expect(await count()).toBe(before)
  })
})
