/** Access that ends at the worst moment: it has ended with the very next delivery, on every replica. */

import { sql } from 'kysely'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startSecondReplica } from '../mcp/second-replica.ts'
import { describeDatabases, hasPostgresql } from '../support/databases.ts'
import { lockWaiters } from '../support/lock-waiters.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

/** Some seconds at the stand-in's pace, most of it after the access has ended. */
const SECRET = 'the words that only readers may see '.repeat(16)
const CLAUDE = { chunkDelayMs: 40, chunkSize: 4 }

/** A conversation of `ada`, and two others. */
async function people(app: TestApp) {
  const users = await Promise.all([app.register(), app.register(), app.register()])
  return { ada: users[0], bob: users[1], eve: users[2] }
}

/** @returns the share's id. */
async function give(app: TestApp, adas: TestClient, id: string, user: TestUser, role: string) {
  const { structured } = await adas.call('share_conversation', {
    conversation_id: id,
    with: { username: user.username },
    role,
  })
  await app.app.repositories.grants.accept(structured.data.share_id, user.userId)
  return structured.data.share_id as string
}

const codeOf = ({ structured }: { structured: { error?: { code: string } } }) =>
  structured.error?.code ?? 'ok'

/** How the access may end, without a call of the reader. */
const ENDS: Record<string, (app: TestApp, adas: TestClient, shareId: string) => Promise<unknown>> =
  {
    'is revoked': (_app, adas, share_id) => adas.call('revoke_share', { share_id }),
    'is at its date': ({ app }, _adas, shareId) =>
      sql`update conversation_grants set expires_at = now() where id = ${shareId}::uuid`.execute(
        app.db,
      ),
  }

describeDatabases('access that ends', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let eve: TestUser
  let adas: TestClient
  let bobs: TestClient
  let eves: TestClient
  let id: string

  beforeAll(async () => {
    app = await startApp({ kind, claude: CLAUDE })
  })
  beforeEach(async () => {
    app.claude.reset()
    ;({ ada, bob, eve } = await people(app))
    adas = await app.connect('legacy', ada.accessToken)
    bobs = await app.connect('modern', bob.accessToken)
    eves = await app.connect('legacy', eve.accessToken)
    app.claude.setReply(() => 'short')
    id = (await adas.call('send_message', { message: 'the first words' })).structured.data
      .conversation_id
    app.claude.setReply(() => SECRET)
  })
  afterAll(() => app.close())

  /** A call that shows what it is given meanwhile. */
  const watched = (client: TestClient, tool: string, args: Record<string, unknown>) => {
    const shown: string[] = []
    const onprogress = ({ message }: { message?: string }) => void shown.push(message ?? '')
    return { shown, answer: client.call(tool, args, { onprogress, timeout: 60_000 }) }
  }

  describe.each(Object.entries(ENDS))('because it %s', (_how, end) => {
    test('while a viewer waits for the owner’s answer: no more of it is shown', async () => {
      const shareId = await give(app, adas, id, eve, 'viewer')
      const running = await adas.call('send_message', {
        conversation_id: id,
        message: 'slowly',
        wait_seconds: 0,
      })
      const { message_id } = running.structured.data
      const { shown, answer } = watched(eves, 'get_message', { message_id, wait_seconds: 60 })
      await expect.poll(() => shown.length).toBeGreaterThan(0)
      await end(app, adas, shareId)
      const ended = await answer
      expect(['not_found', 'access_ended']).toContain(codeOf(ended))
      expect(ended.text).not.toContain('the words')
      // Its owner gets it whole: only the wait was ended.
      const whole = await adas.call('get_message', { message_id, wait_seconds: 60 })
      expect(whole.structured.data).toMatchObject({ status: 'complete', content: SECRET })
      expect(shown.filter((text) => text.includes(SECRET))).toEqual([])
    })

    test('while a contributor waits for their own: it is not handed out, and is booked', async () => {
      const shareId = await give(app, adas, id, bob, 'contributor')
      const { shown, answer } = watched(bobs, 'send_message', {
        conversation_id: id,
        message: 'and I',
        wait_seconds: 60,
      })
      await expect.poll(() => shown.length).toBeGreaterThan(0)
      await end(app, adas, shareId)
      const ended = await answer
      expect(codeOf(ended)).toBe('access_ended')
      expect(ended.text).not.toContain('the words')
      await expect
        .poll(
          async () =>
            codeOf(
              await adas.call('send_message', {
                conversation_id: id,
                message: 'on',
                wait_seconds: 0,
              }),
            ),
          { timeout: 20_000 },
        )
        .toBe('ok')
      expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
    })

    test('between two calls, with what opens the texts still in memory', async () => {
      const shareId = await give(app, adas, id, bob, 'contributor')
      const read = () => bobs.call('get_conversation_history', { conversation_id: id })
      const before = await read()
      expect(before.text).toContain('the first words')
      await end(app, adas, shareId)
      for (const call of [
        read(),
        bobs.call('export_conversation', { conversation_id: id }),
        bobs.call('branch_conversation', { conversation_id: id }),
        bobs.call('send_message', { conversation_id: id, message: 'still there?' }),
        bobs.call('get_message', { message_id: before.structured.messages[1].id }),
      ]) {
        const answer = await call
        expect(codeOf(answer)).toBe('not_found')
        expect(answer.text).not.toContain('the first words')
      }
    })

    test('while a search is gone through page by page', async () => {
      app.claude.setReply(() => 'short')
      await adas.call('send_message', { conversation_id: id, message: 'the second words' })
      const shareId = await give(app, adas, id, eve, 'viewer')
      const query = { query: 'words', limit: 1 }
      const page = (await eves.call('search_conversations', query)).structured.data
      expect(page.hits).toHaveLength(1)
      await end(app, adas, shareId)
      const next = { ...query, cursor: page.next_cursor }
      const rest = (await eves.call('search_conversations', next)).structured.data
      expect(rest.hits).toEqual([])
    })
  })

  test('an owner who is deleted takes the access along', async () => {
    await give(app, adas, id, bob, 'contributor')
    const deleted = await adas.call('delete_my_account', {
      password: ada.password,
      confirm: ada.username,
    })
    expect(deleted.isError, deleted.text).toBe(false)
    const read = await bobs.call('get_conversation_history', { conversation_id: id })
    expect(codeOf(read)).toBe('not_found')
  })

  describe('how many shares there may be', () => {
    const everybodyElse = async (count: number) => {
      await sql`
        insert into users (id, username, username_key, email, email_key, password_hash, data_key)
        select gen_random_uuid(), name, name, name, name, '', '\\x00'::bytea
        from (select 'crowd ' || gen_random_uuid() as name from generate_series(1, ${count})) as n`.execute(
        app.app.db,
      )
    }
    const share = (conversation_id: string, who: unknown) =>
      adas.call('share_conversation', { conversation_id, with: who, role: 'viewer' })

    test('at most 200 of one conversation', async () => {
      await everybodyElse(200)
      await sql`
        insert into conversation_grants
          (id, conversation_id, user_id, role, granted_by, accepted_at)
        select gen_random_uuid(), ${id}::uuid, u.id, 'viewer', ${ada.userId}::uuid, now()
        from (select id from users where username like 'crowd %' limit 200) as u`.execute(
        app.app.db,
      )
      expect(codeOf(await share(id, { username: bob.username }))).toBe('share_refused')
    })

    test('at most 20 that a person has not answered, and nobody learns of it', async () => {
      const unknown = await share(id, { username: 'nobody-at-all' })
      for (let offered = 0; offered < 20; offered += 1) {
        const { structured } = await adas.call('branch_conversation', { conversation_id: id })
        const offer = await share(structured.data.conversation_id, { username: bob.username })
        expect(codeOf(offer)).toBe('ok')
      }
      const refused = await share(id, { username: bob.username })
      expect(refused.structured).toEqual(unknown.structured)
    })

    test('at most 50 with everybody', async () => {
      await sql`
        with copies as (
          insert into conversations (id, user_id, data_key, title, model)
          select gen_random_uuid(), ${ada.userId}::uuid, '\\x00'::bytea, '\\x00'::bytea, 'm'
          from generate_series(1, 50)
          returning id
        )
        insert into conversation_grants (id, conversation_id, role, granted_by, accepted_at)
        select gen_random_uuid(), id, 'viewer', ${ada.userId}::uuid, now() from copies`.execute(
        app.app.db,
      )
      expect(codeOf(await share(id, 'everybody'))).toBe('share_refused')
      await sql`delete from conversations where user_id = ${ada.userId}::uuid and model = 'm'`.execute(
        app.app.db,
      )
    })
  })
})

describe.runIf(hasPostgresql)('access that ends on another replica', () => {
  let app: TestApp
  let second: Awaited<ReturnType<typeof startSecondReplica>>
  let bob: TestUser
  let adas: TestClient
  let bobs: TestClient
  let id: string

  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql', claude: CLAUDE })
    second = await startSecondReplica(app)
  })
  beforeEach(async () => {
    app.claude.reset()
    const { ada, bob: other } = await people(app)
    bob = other
    // The owner's calls go to one replica, the reader's to the other.
    adas = await second.connect('legacy', ada.accessToken)
    bobs = await app.connect('modern', bob.accessToken)
    app.claude.setReply(() => 'short')
    id = (await adas.call('send_message', { message: 'the first words' })).structured.data
      .conversation_id
  })
  afterAll(async () => {
    await second.close()
    await app.close()
  })

  const historyOf = async () =>
    (await adas.call('get_conversation_history', { conversation_id: id })).structured.messages

  /** Holds the conversation while `work` runs, as a turn that begins or ends does. */
  async function holding<T>(work: () => Promise<T>): Promise<T> {
    const holder = new Client({ connectionString: app.databaseUrl as string })
    await holder.connect()
    try {
      await holder.query('begin')
      await holder.query('select from conversations where id = $1 for update', [id])
      return await work()
    } finally {
      await holder.query('rollback')
      await holder.end()
    }
  }

  test('while a send has read the conversation and waits for its lock: nothing begins', async () => {
    const shareId = await give(app, adas, id, bob, 'contributor')
    const asked = app.claude.messageRequests().length
    const { sending } = await holding(async () => {
      const call = bobs.call('send_message', { conversation_id: id, message: 'too late' })
      await expect.poll(() => lockWaiters(app.app.db)).toBeGreaterThan(0)
      expect(codeOf(await adas.call('revoke_share', { share_id: shareId }))).toBe('ok')
      return { sending: call }
    })
    expect(codeOf(await sending)).toBe('not_found')
    expect(await historyOf()).toHaveLength(2)
    expect(app.claude.messageRequests()).toHaveLength(asked)
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('while it is made less than before: a viewer no longer sends what waits', async () => {
    await give(app, adas, id, bob, 'contributor')
    const { sending } = await holding(async () => {
      const call = bobs.call('send_message', { conversation_id: id, message: 'too late' })
      await expect.poll(() => lockWaiters(app.app.db)).toBeGreaterThan(0)
      await sql`update conversation_grants set role = 'viewer'
        where conversation_id = ${id}::uuid`.execute(app.app.db)
      return { sending: call }
    })
    expect(['not_found', 'forbidden']).toContain(codeOf(await sending))
    expect(await historyOf()).toHaveLength(2)
  })

  test('the answer of a send that was first is ended and booked', async () => {
    const shareId = await give(app, adas, id, bob, 'contributor')
    app.claude.setReply(() => SECRET)
    const sending = bobs.call('send_message', { conversation_id: id, message: 'just in time' })
    await expect.poll(() => app.claude.openStreams()).toBe(1)
    await adas.call('revoke_share', { share_id: shareId })
    const ended = await sending
    expect(codeOf(ended)).toBe('access_ended')
    expect(ended.text).not.toContain('the words')
    await expect.poll(async () => (await historyOf()).at(-1)?.status).toBe('cancelled')
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('while a get_message waits there for an answer that is generated here', async () => {
    const shareId = await give(app, adas, id, bob, 'viewer')
    app.claude.setReply(() => SECRET)
    const running = await adas.call('send_message', {
      conversation_id: id,
      message: 'slowly',
      wait_seconds: 0,
    })
    const { message_id } = running.structured.data
    const waiting = bobs.call('get_message', { message_id, wait_seconds: 60 }, { timeout: 60_000 })
    const shared = await adas.call('get_shares', { conversation_id: id })
    expect(shared.structured.data.given).toHaveLength(1)
    await adas.call('revoke_share', { share_id: shareId })
    const ended = await waiting
    expect(['not_found', 'access_ended']).toContain(codeOf(ended))
    expect(ended.text).not.toContain('the words')
  })

  test('with what opens the texts still in the memory of this one', async () => {
    const shareId = await give(app, adas, id, bob, 'viewer')
    const read = () => bobs.call('get_conversation_history', { conversation_id: id })
    expect((await read()).text).toContain('the first words')
    await adas.call('revoke_share', { share_id: shareId })
    const after = await read()
    expect(codeOf(after)).toBe('not_found')
    expect(after.text).not.toContain('the first words')
  })
})
