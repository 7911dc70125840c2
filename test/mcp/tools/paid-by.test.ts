/** Who asked and whose key paid, as those who may know it see it, and what others are not told. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'

describeDatabases('who asked and who paid', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let eve: TestUser

  beforeAll(async () => {
    app = await startApp({ kind })
    ;[ada, bob, eve] = [await app.register(), await app.register(), await app.register()]
  })
  afterAll(() => app.close())

  const give = async (conversationId: string, user: TestUser, role: 'viewer' | 'contributor') => {
    const owner = await app.connect('legacy', ada.accessToken)
    const shared = await owner.call('share_conversation', {
      conversation_id: conversationId,
      with: { username: user.username },
      role,
    })
    await app.app.repositories.grants.accept(shared.structured.data.share_id, user.userId)
  }
  const ofKey = ({ apiKey }: TestUser) => ({ kind: 'own', key_last_four: apiKey.slice(-4) })

  describe.each(eras)('by a client of the %s era', (era) => {
    let adas: TestClient
    let bobs: TestClient
    let eves: TestClient
    let conversationId: string
    let answerId: string

    beforeAll(async () => {
      adas = await app.connect(era, ada.accessToken)
      bobs = await app.connect(era, bob.accessToken)
      eves = await app.connect(era, eve.accessToken)
      const begun = await adas.call('send_message', { message: 'I begin' })
      conversationId = begun.structured.data.conversation_id
      expect(begun.structured.data).toMatchObject({ sender: ada.username, paid_by: ofKey(ada) })
      await give(conversationId, bob, 'contributor')
      await give(conversationId, eve, 'viewer')
      const sent = await bobs.call('send_message', {
        conversation_id: conversationId,
        message: 'and I go on',
        idempotency_key: `once ${era}`,
      })
      answerId = sent.structured.data.message_id
      expect(sent.structured.data).toMatchObject({ sender: bob.username, paid_by: ofKey(bob) })
    })

    const collected = async (client: TestClient) =>
      (await client.call('get_message', { message_id: answerId })).structured.data
    const rowsOf = async (client: TestClient) =>
      (await client.call('get_conversation_history', { conversation_id: conversationId }))
        .structured.messages

    test('the sender sees all of it again, also after a repeat', async () => {
      const again = await bobs.call('send_message', {
        conversation_id: conversationId,
        message: 'and I go on',
        idempotency_key: `once ${era}`,
      })
      for (const seen of [await collected(bobs), again.structured.data]) {
        expect(seen).toMatchObject({ sender: bob.username, paid_by: ofKey(bob) })
        expect(seen.cost_usd).toBeGreaterThan(0)
        expect(seen.request_id).toMatch(/^req_/)
      }
    })

    test('the owner sees who paid and how much', async () => {
      const seen = await collected(adas)
      expect(seen).toMatchObject({ sender: bob.username, paid_by: ofKey(bob) })
      expect(seen.cost_usd).toBeGreaterThan(0)
    })

    test('a viewer sees who wrote, and neither payer nor amounts', async () => {
      expect(await collected(eves)).toMatchObject({
        sender: bob.username,
        paid_by: null,
        usage: null,
        cost_usd: null,
        request_id: null,
        warnings: [],
      })
      const rows = await rowsOf(eves)
      expect(rows.map((row: { author: string | null }) => row.author)).toEqual([
        ada.username,
        null,
        bob.username,
        null,
      ])
      expect(rows.map((row: { paid_by: unknown }) => row.paid_by)).toEqual([null, null, null, null])
    })

    test('the history names the payer of each answer', async () => {
      for (const client of [adas, bobs]) {
        const payers = (await rowsOf(client)).map((row: { paid_by: unknown }) => row.paid_by)
        expect(payers).toEqual([null, ofKey(ada), null, ofKey(bob)])
      }
    })

    test('a contributor sees the payer of another’s answer, not its amounts', async () => {
      const [, first] = await rowsOf(bobs)
      const seen = await bobs.call('get_message', { message_id: first.id })
      expect(seen.structured.data).toMatchObject({
        sender: ada.username,
        paid_by: ofKey(ada),
        usage: null,
        cost_usd: null,
      })
    })

    test('an answer that still runs has both, and one that failed', async () => {
      app.claude.script({ kind: 'delay', delayMs: 1500 })
      const running = await bobs.call('send_message', {
        conversation_id: conversationId,
        message: 'slowly',
        wait_seconds: 0,
      })
      const { message_id } = running.structured.data
      const expected = { sender: bob.username, paid_by: ofKey(bob) }
      expect(running.structured.data).toMatchObject({ status: 'running', ...expected })
      const stopped = await adas.call('cancel_message', { message_id })
      expect(stopped.structured.data).toMatchObject({ status: 'cancelled', ...expected })
    })

    test('the key is the one that was used, also once another one is stored', async () => {
      const dan = await app.register()
      const dans = await app.connect(era, dan.accessToken)
      const sent = await dans.call('send_message', { message: 'with the first key' })
      const { message_id } = sent.structured.data
      await dans.call('update_api_key', { new_api_key: 'sk-ant-api03-of-another-kind' })
      const seen = await dans.call('get_message', { message_id })
      expect(seen.structured.data.paid_by).toEqual(ofKey(dan))
    })
  })

  test('a copy does not tell who paid for what was copied', async () => {
    const adas = await app.connect('modern', ada.accessToken)
    const eves = await app.connect('modern', eve.accessToken)
    const { conversation_id } = (await adas.call('send_message', { message: 'copy me' })).structured
      .data
    await give(conversation_id, eve, 'viewer')
    const copy = await eves.call('branch_conversation', { conversation_id })
    const { structured } = await eves.call('get_conversation_history', {
      conversation_id: copy.structured.data.conversation_id,
    })
    expect(structured.messages.map((row: { paid_by: unknown }) => row.paid_by)).toEqual([
      null,
      null,
    ])
    expect(JSON.stringify(structured)).not.toContain(ada.apiKey.slice(-4))
  })

  test('a sender who deletes the account takes the end of their key along', async () => {
    const fay = await app.register()
    const adas = await app.connect('legacy', ada.accessToken)
    const fays = await app.connect('legacy', fay.accessToken)
    const { conversation_id } = (await adas.call('send_message', { message: 'join me' })).structured
      .data
    await give(conversation_id, fay, 'contributor')
    const { message_id } = (
      await fays.call('send_message', { conversation_id, message: 'I was here' })
    ).structured.data
    const deleted = await fays.call('delete_my_account', {
      password: fay.password,
      confirm: fay.username,
    })
    expect(deleted.isError, deleted.text).toBe(false)
    const seen = await adas.call('get_message', { message_id })
    expect(seen.structured.data).toMatchObject({ status: 'complete', sender: null, paid_by: null })
    const row = await app.app.db
      .selectFrom('messages')
      .select('keyLastFour')
      .where('id', '=', message_id)
      .executeTakeFirstOrThrow()
    expect(row).toEqual({ keyLastFour: null })
  })
})
