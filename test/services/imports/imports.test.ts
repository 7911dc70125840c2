/** What an import stores, and what it does not. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTransact } from '../../../src/repositories/index.ts'
import type { Caller } from '../../../src/services/access/caller.ts'
import { contentHash } from '../../../src/services/conversations/conversation-document.ts'
import { ImportService } from '../../../src/services/imports/imports.ts'
import { vaultOf } from '../../mcp/vault-of.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { documentsOf, fileOf, withoutIds } from './kept.ts'
import { inPieces, sample } from './reading.ts'

const one = (uuid: string, text = uuid) => ({
  uuid,
  name: uuid,
  created_at: '2025-03-01T10:00:00Z',
  updated_at: '2025-03-01T11:00:00Z',
  chat_messages: [
    { sender: 'human', text, created_at: '2025-03-01T10:00:00Z' },
    { sender: 'assistant', text: `answer to ${text}`, created_at: '2025-03-01T10:00:05Z' },
  ],
})
/** A question that was answered twice and asked twice; the newest branch was shown last. */
function forked(conversation_id: string, ...more: string[]) {
  const nodes: [string, string | null, 'user' | 'assistant' | null, string][] = [
    ['root', null, null, ''],
    ['q', 'root', 'user', 'ask'],
    ['a1', 'q', 'assistant', 'answer one'],
    ['a2', 'q', 'assistant', 'answer two'],
    ['q2', 'root', 'user', 'ask again'],
    ['b', 'q2', 'assistant', 'another answer'],
    ['m', 'a1', 'assistant', 'more'],
    ...more.map((text, index): [string, string, 'user' | 'assistant', string] => [
      `more${index}`,
      index === 0 ? 'a2' : `more${index - 1}`,
      index % 2 === 0 ? 'user' : 'assistant',
      text,
    ]),
  ]
  const children = (id: string) => nodes.filter((node) => node[1] === id).map((node) => node[0])
  const node = ([id, parent, role, text]: (typeof nodes)[number]) => ({
    ...{ id, parent, children: children(id) },
    message: role && {
      author: { role },
      content: { content_type: 'text', parts: [text] },
      recipient: 'all',
    },
  })
  const mapping = Object.fromEntries(nodes.map((one) => [one[0], node(one)]))
  return { conversation_id, title: 'Forked', mapping, current_node: 'm' }
}
const json = (...conversations: unknown[]) => Buffer.from(JSON.stringify(conversations))

describeDatabases('an import', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const send = async (
    caller: Caller,
    body: Buffer | AsyncIterable<Buffer>,
    grown: 'branch' | 'keep' | 'replace' = 'keep',
    branches: 'current' | 'all' = 'current',
  ) => {
    const pieces = Buffer.isBuffer(body) ? inPieces(body) : body
    const { signal } = new AbortController()
    return (
      await app.app.services.imports.run(caller, pieces, signal, { grown, branches })
    ).toJSON()
  }
  const grownOne = (uuid: string) => {
    const grown = one(uuid)
    for (const sender of ['human', 'assistant'])
      grown.chat_messages.push({ sender, text: 'more', created_at: '2025-03-02T10:00:00Z' })
    return grown
  }

  test('says what became of each conversation', async () => {
    const { caller } = await signUp(app)
    expect(await send(caller, sample('claude-ai.json'))).toEqual({
      found: 4,
      imported: 2,
      replaced: 0,
      branched: 0,
      already: 0,
      skipped: [
        { ref: '33333333-3333-4333-8333-333333333333', reason: 'empty' },
        { ref: '44444444-4444-4444-8444-444444444444', reason: 'empty' },
      ],
      skipped_in_all: 2,
      branches_left_out: 0,
      blocks_unknown: { file: 1, tool_use: 2, tool_result: 1, flux_capacitor: 1 },
    })
    expect(await send(caller, json())).toEqual({
      found: 0,
      imported: 0,
      replaced: 0,
      branched: 0,
      already: 0,
      skipped: [],
      skipped_in_all: 0,
      branches_left_out: 0,
      blocks_unknown: {},
    })
  })

  test('again, it updates nothing', async () => {
    const { caller, userId } = await signUp(app)
    await send(caller, json(one('a'), one('b')))
    const before = await documentsOf(app, userId)
    const grown = one('b')
    grown.chat_messages.push({ sender: 'human', text: 'more', created_at: '2025-03-02T10:00:00Z' })
    const again = await send(caller, json(one('a'), grown, one('c'), one('c')))
    expect(again).toMatchObject({ found: 4, imported: 1, already: 3, skipped_in_all: 0 })
    expect((await documentsOf(app, userId)).slice(0, 2)).toEqual(before)
  })

  test('takes one that has grown beside the earlier one, or in its place, if that is asked for', async () => {
    const { caller, userId } = await signUp(app)
    await send(caller, json(one('a'), one('b')))
    const lengths = async () =>
      (await documentsOf(app, userId)).map(({ messages }) => messages.length).sort()
    const beside = await send(caller, json(grownOne('a'), one('b')), 'branch')
    expect(beside).toMatchObject({ imported: 1, branched: 1, replaced: 0, already: 1 })
    expect(await lengths()).toEqual([2, 2, 4])
    const replaced = await send(caller, json(grownOne('a'), grownOne('b')), 'replace')
    expect(replaced).toMatchObject({ imported: 1, branched: 0, replaced: 1, already: 1 })
    expect(await lengths()).toEqual([2, 4, 4])
    expect(await send(caller, json(grownOne('a'), grownOne('b')), 'replace')).toMatchObject({
      imported: 0,
      already: 2,
    })
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('replaces nothing that was continued here, that is another’s, or that was not imported', async () => {
    const [ada, bob] = [await signUp(app), await signUp(app)]
    await send(ada.caller, json(one('a')))
    await send(bob.caller, json(one('a')))
    const [{ conversation } = {}] = await documentsOf(app, ada.userId)
    const id = conversation?.id ?? ''
    await app.app.db
      .updateTable('messages')
      .set({ imported: false })
      .where('conversationId', '=', id)
      .where('position', '=', 2)
      .execute()
    const tried = await send(ada.caller, json(grownOne('a')), 'replace')
    expect(tried).toMatchObject({ imported: 0, skipped: [{ reason: 'continued_here' }] })
    expect((await documentsOf(app, ada.userId))[0]?.messages).toHaveLength(2)
    expect((await documentsOf(app, bob.userId))[0]?.messages).toHaveLength(2)
    const branched = await send(ada.caller, json(grownOne('a')), 'branch')
    expect(branched).toMatchObject({ imported: 1, branched: 1 })
  })

  test('marks what it stores, bills nothing, and keeps the times of the source', async () => {
    const { caller, userId } = await signUp(app)
    await send(caller, json(one('a')))
    const { db } = app.app
    const [message] = await db
      .selectFrom('messages')
      .selectAll()
      .where('userId', '=', userId)
      .orderBy('position')
      .execute()
    expect(message).toMatchObject({
      imported: true,
      position: 1,
      role: 'user',
      status: 'complete',
      model: app.config.chat.defaultModel,
      createdAt: new Date('2025-03-01T10:00:00Z'),
    })
    const conversation = await db
      .selectFrom('conversations')
      .selectAll()
      .where('userId', '=', userId)
      .executeTakeFirstOrThrow()
    expect(conversation).toMatchObject({
      importSource: 'claude.ai',
      titleBy: 'import',
      messageCount: 2,
      updatedAt: new Date('2025-03-01T11:00:00Z'),
    })
    expect(conversation.importRef).toHaveLength(32)
    const ledger = await db.selectFrom('ledger').select('id').where('userId', '=', userId).execute()
    expect(ledger).toEqual([])
    const [document] = await documentsOf(app, userId)
    expect(document?.conversation.title).toBe('a')
  })

  test('is continued like any other conversation', async () => {
    const user = await app.register()
    const caller = await app.app.services.sessions.resolve(user.accessToken)
    await send(caller, json(one('a', 'What is an engine?')))
    const [document] = await documentsOf(app, user.userId)
    const client = await app.connect('modern', user.accessToken)
    const conversation_id = document?.conversation.id
    const { structured: sent } = await client.call('send_message', {
      conversation_id,
      message: 'And then?',
    })
    expect(sent).toMatchObject({ success: true, data: { conversation_id } })
    const asked = app.claude.messageRequests().at(-1)?.json as { messages: { content: unknown }[] }
    expect(JSON.stringify(asked.messages)).toContain('What is an engine?')
    expect(asked.messages).toHaveLength(3)
  })

  test('the same file sent twice at once is stored once, also through another replica', async () => {
    const { caller, userId } = await signUp(app)
    const file = json(...Array.from({ length: 20 }, (_, index) => one(`c${index}`)))
    const replica = new ImportService({
      repositories: app.app.repositories,
      transact: createTransact(app.app.db),
      audit: app.app.services.audit.log,
      vault: await vaultOf(app),
      memory: { refuseWhenShort() {} },
      maxMib: 256,
      defaultModel: app.config.chat.defaultModel,
      maxStoredBytes: null,
    })
    const { signal } = new AbortController()
    const [mine, theirs, refused] = await Promise.allSettled([
      send(caller, file),
      replica.run(caller, inPieces(file), signal),
      send(caller, file),
    ])
    expect(refused).toMatchObject({ reason: { code: 'rate_limited' } })
    const fulfilled = { status: 'fulfilled' }
    expect([mine, theirs]).toMatchObject([fulfilled, fulfilled])
    const reports = [mine, theirs].map(
      (result) => (result as { value: { imported: number } }).value,
    )
    expect(reports.reduce((sum, { imported }) => sum + imported, 0)).toBe(20)
    expect(await documentsOf(app, userId)).toHaveLength(20)
  })

  test('stops as soon as its session has ended, and keeps what it had stored', async () => {
    const { caller, userId } = await signUp(app)
    async function* body() {
      yield Buffer.from(`[${JSON.stringify(one('before'))},`)
      await expect.poll(async () => (await documentsOf(app, userId)).length).toBe(1)
      await app.app.services.sessions.revoke(caller)
      yield Buffer.from(`${JSON.stringify(one('after'))}]`)
    }
    await expect(send(caller, body())).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await documentsOf(app, userId)).toHaveLength(1)
  })

  test('needs the permission to change conversations', async () => {
    const { caller } = await signUp(app)
    const reader: Caller = { ...caller, scopes: ['conversations:read', 'messages:send', 'account'] }
    await expect(send(reader, json(one('a')))).rejects.toMatchObject({ code: 'insufficient_scope' })
  })

  test('of a file that breaks off, what came before is kept and told', async () => {
    const { caller } = await signUp(app)
    const broken = json(one('a'), one('b')).subarray(0, -20)
    await expect(send(caller, broken)).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('Imported before that: 1.'),
      details: { report: { found: 1, imported: 1 } },
    })
  })

  test('of one user leaves another user’s conversations of the same file alone', async () => {
    const [ada, bob] = [await signUp(app), await signUp(app)]
    await send(ada.caller, json(one('a')))
    expect(await send(bob.caller, json(one('a')))).toMatchObject({ imported: 1, already: 0 })
    const refs = await app.app.db
      .selectFrom('conversations')
      .select('importRef')
      .where('userId', 'in', [ada.userId, bob.userId])
      .execute()
    expect(refs[0]?.importRef).not.toEqual(refs[1]?.importRef)
  })

  test('takes every branch of ChatGPT on request, once, also when one has grown', async () => {
    const { caller, userId } = await signUp(app)
    const file = (...more: string[]) =>
      json(forked('c0ffee00-0000-4000-8000-00000000000f', ...more))
    expect(await send(caller, file())).toMatchObject({ imported: 1, branches_left_out: 2 })
    const all = { imported: 2, already: 1, found: 3, branches_left_out: 0 }
    expect(await send(caller, file(), 'keep', 'all')).toMatchObject(all)
    expect(await send(caller, file(), 'keep', 'all')).toMatchObject({ imported: 0, already: 3 })
    const texts = async () =>
      (await documentsOf(app, userId))
        .map(({ messages }) => messages.map(({ content }) => content[0]?.text).join(' '))
        .sort()
    expect(await texts()).toEqual(
      ['ask answer two', 'ask again another answer', 'ask answer one\n\nmore'].sort(),
    )
    const grown = await send(caller, file('and on', 'and on to the end'), 'replace', 'all')
    expect(grown).toMatchObject({ found: 3, replaced: 1, already: 2 })
    expect(await texts()).toContain('ask answer two and on and on to the end')
  })

  test('of another service has the same content after an export and an import', async () => {
    const { caller, userId } = await signUp(app)
    await send(caller, sample('claude-ai.json'))
    await send(caller, sample('chatgpt.json'))
    const exported = await documentsOf(app, userId)
    expect(exported).toHaveLength(5)
    const other = await signUp(app)
    expect(await send(other.caller, fileOf(exported))).toMatchObject({ imported: 5 })
    const again = await documentsOf(app, other.userId)
    expect(again.map(withoutIds)).toEqual(exported.map(withoutIds))
    expect(again.map(contentHash)).toEqual(exported.map(contentHash))
  })

  describe('of our own file', () => {
    test('has the same content as the export, and so has the next export', async () => {
      const { userId, caller } = await signUp(app)
      await keepConversation(app, userId, ['first', 'second'], 'an answer')
      await keepConversation(app, userId, ['never answered'])
      const exported = await documentsOf(app, userId)
      const other = await signUp(app)
      expect(await send(other.caller, fileOf(exported))).toMatchObject({ blocks_unknown: {} })
      const imported = await documentsOf(app, other.userId)
      const kept = exported.filter(({ messages }) => messages.some(({ content }) => content.length))
      expect(imported.map(withoutIds)).toEqual(kept.map(withoutIds))
      expect(imported.map(contentHash)).toEqual(kept.map(contentHash))
      const third = await signUp(app)
      await send(third.caller, fileOf(imported))
      expect((await documentsOf(app, third.userId)).map(contentHash)).toEqual(kept.map(contentHash))
      expect(await send(caller, fileOf(kept))).toMatchObject({
        imported: 0,
        already: kept.length,
      })
    })

    test('brings back what was deleted since', async () => {
      const { userId, caller } = await signUp(app)
      await keepConversation(app, userId, ['to be deleted'], 'an answer')
      const exported = await documentsOf(app, userId)
      await app.app.db.deleteFrom('conversations').where('userId', '=', userId).execute()
      expect(await send(caller, fileOf(exported))).toMatchObject({ imported: 1 })
      expect((await documentsOf(app, userId)).map(withoutIds)).toEqual(exported.map(withoutIds))
    })
  })
})

describeDatabases('an import into little storage', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { MAX_STORED_BYTES_PER_USER: '20000' } })
  })
  afterAll(() => app.close())

  test('stores whole conversations while they fit', async () => {
    const { caller, userId } = await signUp(app)
    const file = json(one('small'), one('large', 'x'.repeat(30_000)), one('small too'))
    const { signal } = new AbortController()
    const report = await app.app.services.imports.run(caller, inPieces(file), signal)
    expect(report.toJSON()).toMatchObject({
      imported: 2,
      skipped: [{ ref: 'large', reason: 'storage_full' }],
    })
    const kept = await documentsOf(app, userId)
    expect(kept.map(({ messages }) => messages.length)).toEqual([2, 2])
    expect(await app.app.repositories.storage.bytes(userId)).toBeLessThan(20_000)
  })
})
