/** Conversations of several people: who reads, who sends, who pays, and until when. */

import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import {
  type Era,
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'

type Role = 'viewer' | 'contributor'

describeDatabases('a shared conversation', (kind) => {
  let app: TestApp
  let [ada, bob, cyd] = [] as unknown as [TestUser, TestUser, TestUser]
  let [adas, bobs, cyds] = [] as unknown as [TestClient, TestClient, TestClient]

  beforeAll(async () => {
    app = await startApp({ kind, env: { WARN_HISTORY_TOKENS: '1000' } })
    ;[ada, bob, cyd] = [await app.register(), await app.register(), await app.register()]
    const connect = (user: TestUser) => app.connect('legacy', user.accessToken)
    ;[adas, bobs, cyds] = [await connect(ada), await connect(bob), await connect(cyd)]
  })
  beforeEach(async () => {
    app.claude.reset()
    await sql`delete from rate_limits`.execute(app.app.db)
  })
  afterAll(() => app.close())

  const begin = async (client: TestClient, message = 'the first words'): Promise<string> =>
    (await client.call('send_message', { message })).structured.data.conversation_id

  const share = (conversation_id: string, user: TestUser | 'everybody', role: Role, more = {}) =>
    adas.call('share_conversation', {
      conversation_id,
      with: user === 'everybody' ? user : { username: user.username },
      role,
      ...more,
    })

  /** With the recipient's consent. @returns the share's id. */
  const give = async (conversationId: string, user: TestUser, role: Role, more = {}) => {
    const { structured } = await share(conversationId, user, role, more)
    await app.app.repositories.grants.accept(structured.data.share_id, user.userId)
    return structured.data.share_id as string
  }

  const read = (client: TestClient, conversation_id: string) =>
    client.call('get_conversation_history', { conversation_id })
  const send = (client: TestClient, conversation_id: string, more = {}) =>
    client.call('send_message', { conversation_id, message: 'and I say', ...more })
  const codeOf = async (call: Promise<{ structured: { error?: { code: string } } }>) =>
    (await call).structured.error?.code ?? 'ok'
  const textsOf = async (client: TestClient, id: string) =>
    (await read(client, id)).structured.messages.map(({ content }: { content: string }) => content)

  test('needs a role for people, and none for a link, which is for reading', async () => {
    const conversation_id = await begin(adas)
    const of = async (to: object, role?: string) => {
      const args = { conversation_id, with: to, ...(role && { role }) }
      return (await adas.call('share_conversation', args)).structured
    }
    const link = { link: 'signed-in' }
    expect((await of(link)).data).toMatchObject({ role: 'viewer', url: expect.any(String) })
    expect((await of(link, 'viewer')).data.role).toBe('viewer')
    for (const refused of [
      await of(link, 'contributor'),
      await of({ username: bob.username }),
      await of({ username: bob.username }, 'owner'),
    ]) {
      expect(refused.error).toMatchObject({ code: 'invalid_input' })
      const { field, fields = [field] } = refused.error.details
      expect(fields).toEqual(['role'])
    }
  })

  test('has no effect until its recipient accepts it', async () => {
    const id = await begin(adas)
    const { structured } = await share(id, bob, 'contributor')
    expect(structured.data).toMatchObject({ with: bob.username, pending: true, expires_at: null })
    expect(await codeOf(read(bobs, id))).toBe('not_found')
    expect(await codeOf(send(bobs, id))).toBe('not_found')
    const offered = (await bobs.call('get_shares')).structured.data.received[0]
    expect(offered).toMatchObject({ state: 'pending', title: null, owner: ada.username })
    await app.app.repositories.grants.accept(structured.data.share_id, bob.userId)
    expect(await codeOf(read(bobs, id))).toBe('ok')
    expect((await bobs.call('get_shares', { conversation_id: id })).structured.data).toMatchObject({
      given: [],
      received: [{ state: 'active', title: 'the first words', title_is_untrusted: true }],
    })
  })

  test('a viewer reads, and does nothing else', async () => {
    const id = await begin(adas)
    await give(id, bob, 'viewer')
    expect(await textsOf(bobs, id)).toEqual(await textsOf(adas, id))
    const asked = app.claude.messageRequests().length
    for (const refused of [
      send(bobs, id),
      bobs.call('share_conversation', {
        conversation_id: id,
        with: 'everybody',
        role: 'viewer',
      }),
      bobs.call('revoke_share', { conversation_id: id, all: true }),
    ]) {
      expect((await refused).structured.error).toMatchObject({
        code: 'forbidden',
        details: { role: 'viewer' },
      })
    }
    expect(app.claude.messageRequests()).toHaveLength(asked)
    expect(await codeOf(read(cyds, id))).toBe('not_found')
  })

  test('a contributor sends with their own key, and pays', async () => {
    const id = await begin(adas)
    await give(id, bob, 'contributor')
    const before = (await adas.call('get_usage')).structured.data.total
    const spent = (await bobs.call('get_usage')).structured.data.total.calls
    const sent = await send(bobs, id)
    expect(sent.structured.data.status).toBe('complete')
    expect(app.claude.messageRequests().at(-1)?.key).toBe(bob.apiKey)
    expect((await adas.call('get_usage')).structured.data.total).toEqual(before)
    expect((await bobs.call('get_usage')).structured.data.total.calls).toBe(spent + 1)
    expect(await textsOf(adas, id)).toEqual(await textsOf(bobs, id))
    const authors = (await read(adas, id)).structured.messages
    expect(authors.map(({ author }: { author: string | null }) => author)).toEqual([
      ada.username,
      null,
      bob.username,
      null,
    ])
    const row = await app.app.db
      .selectFrom('ledger')
      .select(['userId', 'ownerId'])
      .where('messageId', '=', sent.structured.data.message_id)
      .executeTakeFirst()
    expect(row).toEqual({ userId: bob.userId, ownerId: ada.userId })
    expect(await codeOf(send(adas, id))).toBe('ok')
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('a contributor decides nothing about it', async () => {
    const id = await begin(adas)
    await give(id, bob, 'contributor')
    const prompted = await send(bobs, id, { system_prompt: 'obey me' })
    expect(prompted.structured.error).toMatchObject({
      code: 'forbidden',
      details: { needed: 'owner', field: 'system_prompt' },
    })
    expect(await codeOf(bobs.call('revoke_share', { conversation_id: id, all: true }))).toBe(
      'forbidden',
    )
    app.claude.script({ kind: 'delay', delayMs: 2000 })
    const sent = await send(adas, id, { wait_seconds: 0 })
    const { message_id } = sent.structured.data
    expect(await codeOf(bobs.call('cancel_message', { message_id }))).toBe('forbidden')
    expect(await codeOf(adas.call('cancel_message', { message_id }))).toBe('ok')
  })

  test('one idempotency key of two people is two messages', async () => {
    const id = await begin(adas)
    await give(id, bob, 'contributor')
    const args = { idempotency_key: 'ours' }
    const first = await send(adas, id, args)
    const second = await send(bobs, id, args)
    expect(second.structured.data).toMatchObject({ replayed: false })
    expect(second.structured.data.message_id).not.toBe(first.structured.data.message_id)
    const again = await send(bobs, id, args)
    expect(again.structured.data).toEqual({ ...second.structured.data, replayed: true })
  })

  test('a long history of another is paid for only when that is confirmed, once', async () => {
    const id = await begin(adas, 'long '.repeat(2000))
    await give(id, bob, 'contributor')
    const refused = await send(bobs, id)
    expect(refused.structured.error).toMatchObject({
      code: 'confirmation_required',
      details: { field: 'confirm_cost' },
    })
    expect(refused.structured.error.details.history_tokens).toBeGreaterThan(1000)
    expect(await codeOf(send(adas, id))).toBe('ok')
    expect(await codeOf(send(bobs, id, { confirm_cost: true }))).toBe('ok')
    expect(await codeOf(send(bobs, id))).toBe('ok')
  })

  test('may begin later for a viewer', async () => {
    const id = await begin(adas, 'what was private')
    await send(adas, id, { message: 'what is shared' })
    const messages = (await read(adas, id)).structured.messages
    await give(id, bob, 'viewer', { from_message_id: messages[2].id })
    expect((await read(bobs, id)).structured).toMatchObject({ total: 2, next_before: null })
    expect((await read(bobs, id)).text).not.toContain('what was private')
    for (const hidden of messages.slice(0, 2)) {
      const alone = { conversation_id: id, message_id: hidden.id }
      expect(await codeOf(bobs.call('get_conversation_history', alone))).toBe('not_found')
      expect(await codeOf(bobs.call('get_message', { message_id: hidden.id }))).toBe('not_found')
    }
    const contributor = share(id, bob, 'contributor', { from_message_id: messages[2].id })
    expect(await codeOf(contributor)).toBe('invalid_input')
  })

  test('with everybody is open to everybody until it ends', async () => {
    const id = await begin(adas)
    const { structured } = await share(id, 'everybody', 'viewer')
    expect(structured.data).toMatchObject({ with: null, pending: false })
    expect(await codeOf(read(cyds, id))).toBe('ok')
    expect(await codeOf(send(cyds, id))).toBe('forbidden')
    await adas.call('revoke_share', { share_id: structured.data.share_id })
    expect(await codeOf(read(cyds, id))).toBe('not_found')
  })

  test('with everybody is hidden, not ended, by a reader, and strangers learn nothing', async () => {
    const id = await begin(adas)
    const { share_id } = (await share(id, 'everybody', 'viewer')).structured.data
    const { error } = (await bobs.call('revoke_share', { share_id })).structured
    expect(error).toMatchObject({
      code: 'forbidden',
      details: { field: 'share_id', conversation_id: id },
    })
    expect(error.message).toMatch(/hide it: \S*update_conversation with hidden: true/)
    const all = await bobs.call('revoke_share', { conversation_id: id, all: true })
    expect(all.structured.error.message).toMatch(/\S*update_conversation with hidden: true/)
    expect(await codeOf(read(cyds, id))).toBe('ok')
    await sql`update conversation_grants set expires_at = now() where id = ${share_id}::uuid`.execute(
      app.app.db,
    )
    const unknown = await bobs.call('revoke_share', { share_id: randomUUID() })
    expect((await bobs.call('revoke_share', { share_id })).structured).toEqual(unknown.structured)
  })

  test('given again says what that replaces, and nothing where all is as it was', async () => {
    const id = await begin(adas, 'first')
    await send(adas, id, { message: 'second' })
    const { messages } = (await read(adas, id)).structured
    const replacedBy = async (role: Role, more = {}) =>
      (await share(id, bob, role, more)).structured.data.replaced
    expect(await replacedBy('contributor')).toBeUndefined()
    expect(await replacedBy('contributor')).toBeUndefined()
    const whole = { role: 'contributor', expires_at: null, from_position: 1 }
    const later = { from_message_id: messages[2].id, expires_in_days: 7 }
    expect(await replacedBy('viewer', later)).toEqual(whole)
    const part = { role: 'viewer', expires_at: expect.any(String), from_position: 3 }
    expect(await replacedBy('viewer')).toEqual(part)
    expect(await replacedBy('viewer')).toBeUndefined()
    const other = await share(id, cyd, 'viewer')
    expect(other.structured.data).not.toHaveProperty('replaced')
  })

  test('says what a recipient looks like to who gave a bare name', async () => {
    const id = await begin(adas)
    for (const wanted of [bob.username, { user: bob.username }, 7]) {
      const args = { conversation_id: id, with: wanted, role: 'viewer' }
      const { error } = (await adas.call('share_conversation', args)).structured
      expect(error).toMatchObject({ code: 'invalid_input', details: { fields: ['with'] } })
      expect(error.message).toContain('{"username": "..."}')
    }
  })

  test('ends by itself, and by whoever was given it', async () => {
    const id = await begin(adas)
    const share_id = await give(id, bob, 'viewer', { expires_in_days: 1 })
    expect(await codeOf(cyds.call('revoke_share', { share_id }))).toBe('not_found')
    await sql`update conversation_grants set expires_at = now() - interval '1 second'
      where id = ${share_id}::uuid`.execute(app.app.db)
    expect(await codeOf(read(bobs, id))).toBe('not_found')
    expect((await adas.call('get_shares', { conversation_id: id })).structured.data.given).toEqual([
      expect.objectContaining({ share_id, state: 'expired' }),
    ])
    await give(id, bob, 'contributor')
    expect(await codeOf(bobs.call('revoke_share', { share_id }))).toBe('ok')
    expect(await codeOf(send(bobs, id))).toBe('not_found')
  })

  test('the very next call of a removed reader fails, with what was read before still in memory', async () => {
    const id = await begin(adas)
    const share_id = await give(id, bob, 'contributor')
    const sent = await send(bobs, id)
    const { message_id } = sent.structured.data
    await adas.call('revoke_share', { share_id })
    const calls = [
      read(bobs, id),
      send(bobs, id),
      bobs.call('get_message', { message_id }),
      bobs.call('cancel_message', { message_id }),
      bobs.call('get_shares', { conversation_id: id }),
    ]
    expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'not_found'))
  })

  test('the running answer of a removed contributor is stopped and booked, and not handed out', async () => {
    const id = await begin(adas)
    const share_id = await give(id, bob, 'contributor')
    const text = 'secret '.repeat(400)
    app.claude.setReply({ text })
    app.claude.script({ kind: 'delay', delayMs: 3000 })
    const waiting = send(bobs, id)
    await expect.poll(() => app.claude.messageRequests().length).toBeGreaterThan(1)
    await adas.call('revoke_share', { share_id })
    const ended = await waiting
    expect(ended.structured.error.code).toBe('access_ended')
    expect(JSON.stringify(ended)).not.toContain('secret')
    await expect.poll(() => codeOf(send(adas, id))).toBe('ok')
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('a share that is revoked between reading and beginning begins nothing', async () => {
    const id = await begin(adas)
    const share_id = await give(id, bob, 'contributor')
    const reach = { userId: bob.userId, sessionId: randomUUID(), readsAll: true }
    const found = await app.app.repositories.turnContexts.find(reach, id)
    expect(found?.conversation?.role).toBe('contributor')
    await adas.call('revoke_share', { share_id })
    expect((await app.app.repositories.turnContexts.find(reach, id))?.conversation).toBeUndefined()
  })

  describe('whom it can be shared with', () => {
    test('nobody learns who exists: unknown, closed and full look the same', async () => {
      const id = await begin(adas)
      const unknown = await adas.call('share_conversation', {
        conversation_id: id,
        with: { username: 'nobody-at-all' },
        role: 'viewer',
      })
      expect(unknown.structured.error.code).toBe('not_found')
      await app.app.repositories.recipients.putSharesFrom(cyd.userId, 'nobody')
      expect((await share(id, cyd, 'viewer')).structured).toEqual(unknown.structured)
      await app.app.repositories.recipients.putSharesFrom(cyd.userId, 'anyone')
      expect(await codeOf(share(id, ada, 'viewer'))).toBe('invalid_input')
    })

    test('at most 30 names an hour', async () => {
      const id = await begin(adas)
      for (let tried = 0; tried < 30; tried++) await share(id, bob, 'viewer')
      const answer = await share(id, bob, 'viewer')
      expect(answer.structured.error).toMatchObject({ code: 'rate_limited' })
    })
  })

  test('a connection without the permission shares and sees nothing', async () => {
    const id = await begin(adas)
    const scopes = ['conversations:read', 'messages:send'] as const
    const limited = await app.app.services.personalTokens.create(await callerOf(ada), {
      name: `limited ${id}`,
      scopes,
      expiresAt: new Date(Date.now() + 3_600_000),
    })
    const client = await app.connect('legacy', limited.token)
    const { tools } = await client.raw.listTools()
    expect(tools.filter(({ name }) => /share/.test(name))).toEqual([])
    const tried = client.call('share_conversation', {
      conversation_id: id,
      with: 'everybody',
      role: 'viewer',
    })
    await expect(tried).rejects.toThrow(/needs the permission conversations:share/)
    await expect(client.call('get_shares')).rejects.toThrow(/conversations:share/)
  })

  const callerOf = async ({ userId, username }: TestUser) => {
    const [session] = await app.app.repositories.sessions.listLive(userId, 1)
    const scopes = ['account', 'conversations:read', 'messages:send'] as const
    return {
      userId,
      username,
      sessionId: session?.id ?? '',
      kind: 'password',
      scopes,
      isAdmin: false,
      isAuditor: false,
      network: null,
    } as const
  }
})

describeDatabases('an installation with SHARING=off', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { SHARING: 'off' } })
  })
  afterAll(() => app.close())

  test.each(eras)('has no tools for it, and nothing is shared (%s)', async (era: Era) => {
    const [ada, bob] = [await app.register(), await app.register()]
    const adas = await app.connect(era, ada.accessToken)
    const bobs = await app.connect(era, bob.accessToken)
    const { tools } = await adas.raw.listTools()
    expect(tools.filter(({ name }) => /share/.test(name))).toEqual([])
    const sent = await adas.call('send_message', { message: 'mine' })
    const conversation_id: string = sent.structured.data.conversation_id
    // As before it was switched off.
    await app.app.db
      .insertInto('conversationGrants')
      .values({
        id: randomUUID(),
        conversationId: conversation_id,
        userId: bob.userId,
        teamId: null,
        role: 'contributor',
        grantedBy: ada.userId,
        acceptedAt: sql<Date>`now()`,
        expiresAt: null,
      })
      .execute()
    for (const call of [
      bobs.call('get_conversation_history', { conversation_id }),
      bobs.call('send_message', { conversation_id, message: 'me too' }),
    ]) {
      expect((await call).structured.error.code).toBe('not_found')
    }
    expect((await adas.call('get_conversation_history', { conversation_id })).isError).toBe(false)
  })
})
