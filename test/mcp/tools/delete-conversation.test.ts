/** For ever, and at once. */

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import type { Answer } from '../../support/clients.ts'
import { describeDatabases } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

describeDatabases('delete_conversation', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient
  let stranger: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    client = await app.connect('modern', user.accessToken)
    stranger = await app.connect('legacy', (await app.register()).accessToken)
  })
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  const error = ({ structured }: Answer) => structured.error
  const remove = (conversation_id: string, by = client) =>
    by.call('delete_conversation', { conversation_id })
  const send = async (args: Record<string, unknown>) =>
    (await client.call('send_message', args)).structured.data
  const usage = async () =>
    (await client.call('get_usage', { group_by: 'conversation' })).structured.data
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  test('takes every row with it, and keeps what it cost', async () => {
    const { conversation_id: id, message_id } = await send({ message: 'forget this' })
    await send({ conversation_id: id, message: 'and this', system_prompt: 'a secret' })
    const other = (await send({ message: 'keep this' })).conversation_id
    const before = await usage()
    const { structured } = await remove(id)
    expect(structured.data).toEqual({
      deleted: true,
      messages: 4,
      links_ended: 0,
      branches_left: 0,
    })
    for (const table of ['messages', 'forgottenTurns'] as const) {
      const query = app.app.db.selectFrom(table).select('conversationId')
      expect(await query.where('conversationId', '=', id).execute()).toEqual([])
    }
    const left = app.app.db.selectFrom('conversations').select('dataKey').where('id', '=', id)
    expect(await left.execute()).toEqual([])

    for (const [tool, args] of [
      ['get_conversation_history', { conversation_id: id }],
      ['send_message', { conversation_id: id, message: 'more' }],
      ['get_message', { message_id }],
      ['update_conversation', { conversation_id: id, title: 'back' }],
      ['branch_conversation', { conversation_id: id }],
    ] as const) {
      expect(error(await client.call(tool, args)).code, tool).toBe('not_found')
    }
    const { conversations } = (await client.call('get_conversations', {})).structured
    expect(conversations.map((row: { id: string }) => row.id)).toEqual([other])

    const after = await usage()
    expect(after.total).toEqual(before.total)
    const rows = after.rows as { key: string; deleted?: boolean }[]
    expect(rows.find(({ key }) => key === id)?.deleted).toBe(true)
    expect(rows.find(({ key }) => key === other)).not.toHaveProperty('deleted')
    expect(await drift()).toEqual([])
  })

  test('a second time changes nothing and says so', async () => {
    const { conversation_id: id } = await send({ message: 'twice' })
    await remove(id)
    expect((await remove(id)).structured.data).toMatchObject({ deleted: true, messages: 0 })
  })

  test('stops the running answer, whose cost is booked', async () => {
    const { conversation_id: id } = await send({ message: 'begin' })
    const before = await usage()
    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const running = client.call('send_message', { conversation_id: id, message: 'long'.repeat(50) })
    await vi.waitUntil(() => app.claude.openStreams() === 1, PATIENCE)
    expect((await remove(id)).structured.data).toMatchObject({ deleted: true, messages: 4 })
    expect(error(await running).code).toBe('cancelled')
    await vi.waitUntil(() => app.claude.openStreams() === 0, PATIENCE)
    const after = await usage()
    expect(after.total.calls).toBe(before.total.calls + 1)
    expect(after.total.cost_usd).toBeGreaterThan(before.total.cost_usd)
    expect(await drift()).toEqual([])
  })

  test('of another user, and of none, is not found alike, and nothing is lost', async () => {
    const { conversation_id: id } = await send({ message: 'mine' })
    const errors = await Promise.all(
      [id, newId()].map(async (conversationId) => error(await remove(conversationId, stranger))),
    )
    expect(errors[0]).toMatchObject({ code: 'not_found' })
    expect(errors[0]).toEqual(errors[1])
    const { structured } = await client.call('get_conversation_history', { conversation_id: id })
    expect(structured.total).toBe(2)
  })

  test('what is deleted while it is copied leaves no part of a copy', async () => {
    const { conversation_id: id } = await send({ message: 'copied' })
    const outcomes = await Promise.all([
      client.call('branch_conversation', { conversation_id: id }),
      remove(id),
    ])
    const [branched] = outcomes.map(({ structured }) => structured)
    if (branched.error) expect(branched.error.code).toBe('not_found')
    else expect(branched.data.message_count).toBe(2)
    expect(await drift()).toEqual([])
  })
})
