/** Branches, and messages sent in place of earlier ones, which are branches too. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { createRepositories } from '../../../src/repositories/index.ts'
import type { Answer } from '../../support/clients.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

describeDatabases('branch_conversation', (kind) => {
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

  const data = async (tool: string, args: Record<string, unknown>, by = client) => {
    const { structured } = await by.call(tool, args)
    expect(structured.error).toBeUndefined()
    return structured.data
  }
  const error = ({ structured }: Answer) => structured.error
  const send = (args: Record<string, unknown>, by = client) => data('send_message', args, by)
  const branch = (args: Record<string, unknown>) => data('branch_conversation', args)
  const history = async (conversation_id: string) =>
    (await client.call('get_conversation_history', { conversation_id })).structured.messages as {
      id: string
      content: string
      timestamp: string
    }[]
  const texts = async (conversationId: string) =>
    (await history(conversationId)).map(({ content }) => content)
  const list = async () =>
    (await client.call('get_conversations', { limit: 200 })).structured.conversations as {
      id: string
      title: string
      branched_from: unknown
    }[]
  const rowsOf = (id: string) =>
    app.app.db.selectFrom('messages').selectAll().where('conversationId', '=', id).execute()
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  const talk = async (...messages: string[]) => {
    const { conversation_id } = await send({ message: messages[0], system_prompt: 'Be brief.' })
    for (const message of messages.slice(1)) await send({ conversation_id, message })
    return conversation_id as string
  }

  test('copies all messages, sealed anew under a key of its own', async () => {
    const origin = await talk('one', 'two', 'three')
    const made = await branch({ conversation_id: origin })
    expect(made).toEqual({
      conversation_id: expect.any(String),
      message_count: 6,
      branched_from: { conversation_id: origin, position: 6 },
    })
    const [before, after] = [await history(origin), await history(made.conversation_id)]
    // A copy cost nothing.
    expect(after.map(({ id: _id, ...row }) => row)).toEqual(
      before.map(({ id: _id, ...row }) => ({ ...row, paid_by: null })),
    )
    expect(after.map(({ id }) => id)).not.toContain(before[0]?.id)
    const sealed = (await rowsOf(origin)).map(({ content }) => content?.toString('hex'))
    const copied = (await rowsOf(made.conversation_id)).map(({ content }) =>
      content?.toString('hex'),
    )
    expect(copied.filter((content) => sealed.includes(content))).toEqual([])
    expect(await drift()).toEqual([])
  })

  test('goes on with what Claude was sent before, byte for byte', async () => {
    const origin = await talk('one', 'two')
    const { conversation_id } = await branch({ conversation_id: origin })
    await send({ conversation_id: origin, message: 'three' })
    await send({ conversation_id, message: 'three' })
    const [inOrigin, inBranch] = app.claude.messageRequests().slice(-2)
    expect(inBranch?.body).toEqual(inOrigin?.body)
  })

  test('copies up to a message: both sides of its turn', async () => {
    const origin = await talk('one', 'two', 'three')
    const [, , question, answer] = await history(origin)
    for (const through_message_id of [question?.id, answer?.id]) {
      const made = await branch({ conversation_id: origin, through_message_id })
      expect(made).toMatchObject({ message_count: 4, branched_from: { position: 4 } })
      expect(await texts(made.conversation_id)).toEqual(['one', 'one', 'two', 'two'])
    }
    expect(await texts(origin)).toHaveLength(6)
  })

  test('is listed with what it was copied from, as long as that exists', async () => {
    const origin = await talk('family')
    const { conversation_id } = await branch({ conversation_id: origin })
    const row = async () => (await list()).find(({ id }) => id === conversation_id)
    expect(await row()).toMatchObject({
      title: 'family',
      branched_from: { conversation_id: origin, position: 2 },
    })
    const deleted = await data('delete_conversation', { conversation_id: origin })
    expect(deleted).toMatchObject({ messages: 2, branches_left: 1 })
    expect(await row()).toMatchObject({ title: 'family', branched_from: null })
    expect(await texts(conversation_id)).toEqual(['family', 'family'])
  })

  test('leaves out turns of which no text is kept', async () => {
    const origin = await talk('kept')
    app.claude.script({ kind: 'status', status: 400 })
    await client.call('send_message', { conversation_id: origin, message: 'refused' })
    await send({ conversation_id: origin, message: 'kept too' })
    const made = await branch({ conversation_id: origin })
    expect(made.message_count).toBe(4)
    expect(await texts(made.conversation_id)).toEqual(['kept', 'kept', 'kept too', 'kept too'])
    await send({ conversation_id: made.conversation_id, message: 'on' })
    expect(await texts(made.conversation_id)).toHaveLength(6)
  })

  test('does not copy what is still being answered', async () => {
    const origin = await talk('done')
    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const message = { conversation_id: origin, message: 'running', wait_seconds: 0 }
    const running = await send(message)
    const made = await branch({ conversation_id: origin })
    expect(await texts(made.conversation_id)).toEqual(['done', 'done'])
    const refused = await client.call('branch_conversation', {
      conversation_id: origin,
      through_message_id: running.message_id,
    })
    expect(error(refused)).toMatchObject({ code: 'conversation_busy' })
    await client.call('cancel_message', { message_id: running.message_id })
  })

  test('costs nothing, and shows no figures of the answers that it copied', async () => {
    const origin = await talk('paid')
    const spent = async () => (await data('get_usage', {})).total
    const before = await spent()
    const { conversation_id } = await branch({ conversation_id: origin })
    expect(await spent()).toEqual(before)
    const [, answer] = await history(conversation_id)
    const { structured } = await client.call('get_message', { message_id: answer?.id })
    expect(structured.data).toMatchObject({ conversation_id, content: 'paid', cost_usd: null })
  })

  test('of another user, and of none, is not found alike', async () => {
    const origin = await talk('private')
    const [first] = await history(origin)
    const tries = [{ conversation_id: origin }, { conversation_id: newId() }]
    const errors = await Promise.all(
      tries.map(async (args) => error(await stranger.call('branch_conversation', args))),
    )
    expect(errors[0]).toMatchObject({ code: 'not_found' })
    expect(errors[0]).toEqual(errors[1])
    const own = (await send({ message: 'mine' }, stranger)).conversation_id
    const mixed = await stranger.call('branch_conversation', {
      conversation_id: own,
      through_message_id: first?.id,
    })
    expect(error(mixed)).toMatchObject({
      code: 'not_found',
      details: { field: 'through_message_id' },
    })
  })

  describe('a message sent in place of an earlier one', () => {
    test('is answered in a branch of what came before it', async () => {
      const origin = await talk('one', 'two', 'three')
      const [, , second] = await history(origin)
      const sent = await send({
        conversation_id: origin,
        edit_message_id: second?.id,
        message: 'two, but better',
      })
      expect(sent.conversation_id).not.toBe(origin)
      expect(await texts(sent.conversation_id)).toEqual([
        'one',
        'one',
        'two, but better',
        'two, but better',
      ])
      expect(await texts(origin)).toHaveLength(6)
      const row = (await list()).find(({ id }) => id === sent.conversation_id)
      expect(row).toMatchObject({
        title: 'one',
        branched_from: { conversation_id: origin, position: 2 },
      })
      expect(await drift()).toEqual([])
    })

    test('begins with the new text where it was the first', async () => {
      const origin = await talk('first', 'second')
      const [first] = await history(origin)
      const args = { conversation_id: origin, edit_message_id: first?.id, message: 'another' }
      const sent = await send(args)
      expect(await texts(sent.conversation_id)).toEqual(['another', 'another'])
      const row = (await list()).find(({ id }) => id === sent.conversation_id)
      expect(row?.title).toBe('another')
      const [request] = app.claude.messageRequests().slice(-1)
      expect(JSON.stringify(request?.body), 'it keeps the system prompt').toContain('Be brief.')
    })

    test('branches once for one idempotency key, also for calls at the same time', async () => {
      const origin = await talk('one', 'two')
      const [, , second] = await history(origin)
      const args = {
        conversation_id: origin,
        edit_message_id: second?.id,
        message: 'again',
        idempotency_key: newId(),
      }
      const before = (await list()).length
      const answers = await Promise.all([1, 2, 3].map(() => client.call('send_message', args)))
      answers.push(await client.call('send_message', args))
      const ids = answers.map(({ structured }) => structured.data.conversation_id)
      expect(new Set(ids).size).toBe(1)
      expect((await list()).length).toBe(before + 1)
      expect(await branchesOf(origin)).toBe(1)
    })

    test('leaves no branch behind when it is not even begun', async () => {
      const origin = await talk('one')
      const [first] = await history(origin)
      const args = { conversation_id: origin, edit_message_id: first?.id, message: 'x' }
      const refused = await client.call('send_message', { ...args, model: 'claude-2.1' })
      expect(error(refused).code).toBe('model_retired')
      expect(await branchesOf(origin)).toBe(0)
    })

    test('is in no list when Claude refused it unbilled, and is gone a day later', async () => {
      const origin = await talk('one', 'two')
      const [, , second] = await history(origin)
      const before = (await list()).length
      app.claude.script({ kind: 'status', status: 400 })
      const args = { conversation_id: origin, edit_message_id: second?.id, message: 'refused' }
      expect(error(await client.call('send_message', args))).toBeDefined()
      expect((await list()).length).toBe(before)
      expect(await branchesOf(origin)).toBe(1)
      await app.app.db
        .updateTable('forgottenTurns')
        .set({ finishedAt: new Date(Date.now() - 2 * 86_400_000) })
        .execute()
      await app.app.db
        .transaction()
        .execute((tx) => createRepositories(tx).forgottenTurns.deleteOld())
      expect(await branchesOf(origin)).toBe(0)
      expect(await texts(origin)).toHaveLength(4)
      expect(await drift()).toEqual([])
    })

    test('is refused for an answer, without a conversation, and for what is not in it', async () => {
      const origin = await talk('one')
      const other = await talk('other')
      const [, answer] = await history(origin)
      const [ofOther] = await history(other)
      const of = async (args: Record<string, unknown>) =>
        error(await client.call('send_message', { message: 'x', ...args }))
      expect(await of({ conversation_id: origin, edit_message_id: answer?.id })).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['edit_message_id'] },
      })
      expect(await of({ edit_message_id: ofOther?.id })).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['conversation_id'] },
      })
      expect(await of({ conversation_id: origin, edit_message_id: ofOther?.id })).toMatchObject({
        code: 'not_found',
        details: { field: 'edit_message_id' },
      })
    })

    const branchesOf = async (origin: string) => {
      const rows = await app.app.db
        .selectFrom('conversations')
        .select('id')
        .where('branchedFrom', '=', origin)
        .execute()
      return rows.length
    }
  })
})
