/**
 * What somebody finds who gets hold of the database or its folder: no key, no password, no token,
 * nothing that was said. And what they can do with what they find: not even move it elsewhere.
 */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/open.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../support/databases.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { dumpTables, placesOf, readFiles } from './at-rest.ts'

const secret = (name: string) => `${name}-${randomBytes(9).toString('hex')}`

const SAID = {
  message: secret('message'),
  answer: secret('answer'),
  title: secret('title'),
  systemPrompt: secret('system-prompt'),
  changedSystemPrompt: secret('changed-system-prompt'),
  idempotencyKey: secret('idempotency-key'),
  stopSequence: secret('stop-sequence'),
  refusedMessage: secret('refused-message'),
  partialAnswer: secret('partial-answer'),
  failedMessage: secret('failed-message'),
  wrongPassword: secret('wrong-password'),
}

describeDatabases('at rest', (kind) => {
  let fresh: FreshDatabase
  let user: TestUser
  let keyId: string
  let logged: string
  let dump: Map<string, Buffer>
  let files: Map<string, Buffer>
  const encryptionKey = randomBytes(32).toString('base64')

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    const app = await startApp({ kind, database: fresh, env: { ENCRYPTION_KEY: encryptionKey } })
    user = await app.register()
    await talk(app)
    keyId = await metricsKeyId(app)
    logged = app.logLines.join('')
    await app.close()
    const database = await openDatabase(fresh)
    dump = await dumpTables(database.db)
    await database.close()
    files = readFiles(fresh.dataDir)
  })
  afterAll(() => fresh.drop())

  async function talk(app: TestApp): Promise<void> {
    const client = await app.connect('modern', user.accessToken)
    app.claude.setReply(({ messages }) => `${SAID.answer} ${messages.length}`)
    const args = { message: `${SAID.title}\n${SAID.message}`, system_prompt: SAID.systemPrompt }
    const first = await client.call('send_message', {
      ...args,
      idempotency_key: SAID.idempotencyKey,
      stop_sequences: [SAID.stopSequence],
      thinking: 'adaptive',
    })
    const { conversation_id } = first.structured.data
    const inConversation = (more: object) =>
      client.call('send_message', { message: 'go on', conversation_id, ...more })
    await inConversation({ system_prompt: SAID.changedSystemPrompt })

    const stoppable = {
      stop_sequences: ['never', SAID.stopSequence],
      idempotency_key: `second-${SAID.idempotencyKey}`,
    }
    app.claude.setReply({ text: `before ${SAID.stopSequence} behind` })
    const stopped = await inConversation(stoppable)
    const again = await inConversation(stoppable)
    expect(stopped.structured.data.stop_sequence).toBe(SAID.stopSequence)
    expect(again.structured.data).toEqual({ ...stopped.structured.data, replayed: true })
    app.claude.setReply({ text: SAID.partialAnswer, refusalCategory: 'cyber' })
    const refused = await inConversation({ message: SAID.refusedMessage })
    expect(refused.structured.data.refused).toBe(true)
    app.claude.setReply({ text: SAID.partialAnswer.padEnd(100, '.') })
    app.claude.script({ kind: 'stream_drop', afterChunks: 2 })
    const failed = await inConversation({ message: SAID.failedMessage })
    expect(failed.isError).toBe(true)
    const wrong = { username: user.username, password: SAID.wrongPassword }
    expect((await client.call('authenticate_user', wrong)).isError).toBe(true)
  }

  async function metricsKeyId(app: TestApp): Promise<string> {
    const client = await app.connect('legacy', user.accessToken)
    const { contents } = await client.raw.readResource({ uri: 'mcp://claude-api-gateway/metrics' })
    return JSON.parse((contents[0] as { text: string }).text).security.encryption_key_id
  }

  const secrets = (): Record<string, string> => ({
    ...SAID,
    apiKey: user.apiKey,
    password: user.password,
    accessToken: user.accessToken,
    tokenSignature: user.accessToken.split('.')[2] as string,
    encryptionKey,
    encryptionKeyBytes: Buffer.from(encryptionKey, 'base64').toString('latin1'),
  })

  test('the search finds what is in clear', () => {
    expect(placesOf(user.username, dump)).toEqual(['public.users'])
    expect(placesOf(keyId, dump)).toEqual(
      expect.arrayContaining(['public.users', 'public.conversations', 'public.signing_keys']),
    )
    expect([...dump.keys()]).toEqual(
      expect.arrayContaining(['public.messages', 'public.ledger', 'public.sessions']),
    )
    if (kind === 'embedded') expect(placesOf(user.username, files).length).toBeGreaterThan(0)
  })

  test('no secret is in any table', () => {
    for (const [name, text] of Object.entries(secrets())) {
      expect([name, placesOf(text, dump)]).toEqual([name, []])
    }
  })

  test('no secret is in any file of the data folder', () => {
    expect(files.size).toBeGreaterThan(kind === 'embedded' ? 100 : -1)
    for (const [name, text] of Object.entries(secrets())) {
      expect([name, placesOf(text, files)]).toEqual([name, []])
    }
  })

  test('no secret is in the log', () => {
    expect(logged.length).toBeGreaterThan(1000)
    const log = new Map([['log', Buffer.from(logged)]])
    for (const [name, text] of Object.entries({ ...secrets(), email: user.email })) {
      expect([name, placesOf(text, log)]).toEqual([name, []])
    }
  })
})

describeDatabases('a sealed value moved elsewhere', (kind) => {
  let fresh: FreshDatabase
  let app: TestApp
  let victim: Owner
  let owners: Owner[]
  const encryptionKey = randomBytes(32).toString('base64')
  const WORDS = 'the words of the victim'

  type Owner = { user: TestUser; conversationId: string; messageIds: string[] }

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    app = await startApp({ kind, database: fresh, env: { ENCRYPTION_KEY: encryptionKey } })
    owners = []
    for (let i = 0; i < MOVES.length + 1; i++) owners.push(await newOwner(i))
    victim = owners.pop() as Owner
    await app.close()
    const database = await openDatabase(fresh)
    for (const [i, { move }] of MOVES.entries()) {
      await move(database.db, owners[i] as Owner, victim)
    }
    await database.close()
    app = await startApp({ kind, database: fresh, env: { ENCRYPTION_KEY: encryptionKey } })
  })
  afterAll(async () => {
    await app.close()
    await fresh.drop()
  })

  async function newOwner(i: number): Promise<Owner> {
    const user = await app.register()
    const client = await app.connect('legacy', user.accessToken)
    const message = i === MOVES.length ? WORDS : 'somebody else'
    const first = await client.call('send_message', { message, system_prompt: message })
    const { conversation_id: conversationId } = first.structured.data
    await client.call('send_message', { message: 'second turn', conversation_id: conversationId })
    const history = await client.call('get_conversation_history', {
      conversation_id: conversationId,
    })
    const messageIds = history.structured.messages.map(({ id }: { id: string }) => id)
    return { user, conversationId, messageIds }
  }

  const read = async ({ user, conversationId }: Owner) => {
    const client = await app.connect('modern', user.accessToken)
    return [
      await client.call('get_conversation_history', { conversation_id: conversationId }),
      await client.call('get_conversations'),
      await client.call('send_message', { message: 'say', conversation_id: conversationId }),
    ]
  }

  test('opens at home', async () => {
    for (const answer of await read(victim)) expect(answer.isError).toBe(false)
  })

  test.each(MOVES.map(({ name }, i) => [name, i] as const))('%s', async (_name, i) => {
    app.claude.reset()
    const { fails } = MOVES[i] as Move
    const answers = await read(owners[i] as Owner)
    const failed = answers.map(({ isError }) => isError)
    expect(failed).toEqual(fails)
    for (const { isError, text, structured } of answers) {
      if (isError) expect(structured.error.code).toBe('internal')
      expect(text).not.toContain(WORDS)
    }
    const asked = JSON.stringify(app.claude.journal)
    for (const stolen of [WORDS, victim.user.apiKey]) expect(asked).not.toContain(stolen)
  })
})

type Owned = { user: TestUser; conversationId: string; messageIds: string[] }

type Move = {
  name: string
  /** Which of history, list and send fail of it. */
  fails: [boolean, boolean, boolean]
  move(db: Database['db'], to: Owned, from: Owned): Promise<unknown>
}

const MOVES: Move[] = [
  {
    name: "a message of another user's",
    fails: [true, false, true],
    move: (db, to, from) =>
      db
        .updateTable('messages')
        .set((set) => ({
          content: set.selectFrom('messages').select('content').where('id', '=', first(from)),
        }))
        .where('id', '=', first(to))
        .execute(),
  },
  {
    name: 'two messages of one conversation, exchanged',
    fails: [true, false, true],
    move: async (db, { messageIds: [one = '', , two = ''] }) => {
      const rows = await db
        .selectFrom('messages')
        .select(['id', 'content'])
        .where('id', 'in', [one, two])
        .execute()
      for (const { id, content } of rows) {
        const other = id === one ? two : one
        await db.updateTable('messages').set({ content }).where('id', '=', other).execute()
      }
    },
  },
  {
    name: "another's conversation, with the key that opens it",
    fails: [true, true, true],
    move: async (db, to, from) => {
      const { dataKey, title } = await conversation(db, from)
      const moved = { dataKey, title }
      await db.updateTable('conversations').set(moved).where('id', '=', to.conversationId).execute()
    },
  },
  {
    name: 'a system prompt where the title is shown',
    fails: [false, true, false],
    move: async (db, to) => {
      const { systemPrompt } = await conversation(db, to)
      await db
        .updateTable('conversations')
        .set({ title: systemPrompt as Buffer })
        .where('id', '=', to.conversationId)
        .execute()
    },
  },
  {
    name: "the title of another's conversation",
    fails: [false, true, false],
    move: async (db, to, from) => {
      const { title } = await conversation(db, from)
      await db
        .updateTable('conversations')
        .set({ title })
        .where('id', '=', to.conversationId)
        .execute()
    },
  },
  {
    name: "another's Anthropic key",
    fails: [false, false, true],
    move: async (db, to, from) => {
      const { sealed } = await apiKey(db, from)
      await db.updateTable('apiKeys').set({ sealed }).where('userId', '=', to.user.userId).execute()
    },
  },
  {
    name: "another's Anthropic key, with the data key that opens it",
    fails: [false, false, true],
    move: async (db, to, from) => {
      const { sealed } = await apiKey(db, from)
      const { dataKey } = await db
        .selectFrom('users')
        .select('dataKey')
        .where('id', '=', from.user.userId)
        .executeTakeFirstOrThrow()
      await db.updateTable('apiKeys').set({ sealed }).where('userId', '=', to.user.userId).execute()
      await db.updateTable('users').set({ dataKey }).where('id', '=', to.user.userId).execute()
    },
  },
  {
    name: "a copy of another's conversation and all its messages",
    fails: [true, true, true],
    move: async (db, to, from) => {
      const { dataKey, title, systemPrompt } = await conversation(db, from)
      await db
        .updateTable('conversations')
        .set({ dataKey, title, systemPrompt })
        .where('id', '=', to.conversationId)
        .execute()
      await contentsOf(db, from, to)
    },
  },
  {
    name: 'a conversation that names another user as who sealed it',
    fails: [true, true, true],
    move: (db, to, from) => sealedForAnother(db, to, from),
  },
  {
    name: "another's conversation and all its messages, with who sealed them",
    fails: [true, true, true],
    move: async (db, to, from) => {
      await sealedForAnother(db, to, from)
      const { dataKey, title, systemPrompt } = await conversation(db, from)
      await db
        .updateTable('conversations')
        .set({ dataKey, title, systemPrompt })
        .where('id', '=', to.conversationId)
        .execute()
      await contentsOf(db, from, to)
    },
  },
  {
    name: "the key of another's conversation alone",
    fails: [true, true, true],
    move: async (db, to, from) => {
      const { dataKey } = await conversation(db, from)
      await db
        .updateTable('conversations')
        .set({ dataKey })
        .where('id', '=', to.conversationId)
        .execute()
    },
  },
  {
    name: 'the turns of one conversation, the later in place of the earlier',
    fails: [true, false, true],
    move: async (db, to) => {
      const [one = '', two = '', three = '', four = ''] = to.messageIds
      await contentsOf(db, { ...to, messageIds: [three, four] }, { ...to, messageIds: [one, two] })
    },
  },
]

const sealedForAnother = (db: Database['db'], to: Owned, { user }: Owned) =>
  db
    .updateTable('conversations')
    .set({ sealedFor: user.userId })
    .where('id', '=', to.conversationId)
    .execute()

/** Puts the contents of one's messages into another's, in their order. */
async function contentsOf(db: Database['db'], from: Owned, to: Owned): Promise<void> {
  for (const [i, id] of to.messageIds.entries()) {
    const { content } = await db
      .selectFrom('messages')
      .select('content')
      .where('id', '=', from.messageIds[i] as string)
      .executeTakeFirstOrThrow()
    await db.updateTable('messages').set({ content }).where('id', '=', id).execute()
  }
}

const first = ({ messageIds }: Owned) => messageIds[0] as string

const conversation = (db: Database['db'], { conversationId }: Owned) =>
  db
    .selectFrom('conversations')
    .select(['dataKey', 'title', 'systemPrompt'])
    .where('id', '=', conversationId)
    .executeTakeFirstOrThrow()

const apiKey = (db: Database['db'], { user }: Owned) =>
  db
    .selectFrom('apiKeys')
    .select('sealed')
    .where('userId', '=', user.userId)
    .executeTakeFirstOrThrow()

describeDatabases('a conversation that somebody else may read', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  test('is of no use for the texts of another one in its place', async () => {
    const [ada, bob] = [await app.register(), await app.register()]
    const adas = await app.connect('legacy', ada.accessToken)
    const bobs = await app.connect('modern', bob.accessToken)
    const begin = async (message: string): Promise<string> =>
      (await adas.call('send_message', { message })).structured.data.conversation_id
    const [shared, other] = [await begin('shared words'), await begin('other words')]
    const given = await adas.call('share_conversation', {
      conversation_id: shared,
      with: { username: bob.username },
      role: 'viewer',
    })
    const { share_id } = given.structured.data
    await app.app.repositories.grants.accept(share_id, bob.userId)
    // The other conversation's texts and key in the row of the shared one: it does not open.
    const { db } = app.app
    const { dataKey, title } = await db
      .selectFrom('conversations')
      .select(['dataKey', 'title'])
      .where('id', '=', other)
      .executeTakeFirstOrThrow()
    await db.updateTable('conversations').set({ dataKey, title }).where('id', '=', shared).execute()
    for (const [tool, args] of [
      ['get_conversation_history', { conversation_id: shared }],
      ['export_conversation', { conversation_id: shared }],
      ['branch_conversation', { conversation_id: shared }],
      ['get_conversations', { filter: 'shared' }],
      ['search_conversations', { query: 'words' }],
    ] as const) {
      const answer = await bobs.call(tool, args)
      expect(answer.structured?.error?.code, tool).toBe('internal')
      expect(answer.text, tool).not.toContain('words')
    }
    const unread = await bobs.call('get_conversation_history', { conversation_id: other })
    expect(unread.structured.error.code).toBe('not_found')
  })
})

describeDatabases('a new encryption key', (kind) => {
  const [oldKey, newKey] = [randomBytes(32).toString('base64'), randomBytes(32).toString('hex')]
  let fresh: FreshDatabase
  let user: TestUser
  let conversationId: string

  const start = (keys: Record<string, string>) => startApp({ kind, database: fresh, env: keys })

  beforeAll(async () => {
    fresh = await freshDatabaseOptions(kind)
    const app = await start({ ENCRYPTION_KEY: oldKey })
    user = await app.register()
    const client = await app.connect('modern', user.accessToken)
    const sent = await client.call('send_message', { message: 'under the old key' })
    conversationId = sent.structured.data.conversation_id
    await app.close()
  })
  afterAll(() => fresh.drop())

  // Before any start with both keys, which moves everything under the new one.
  test('without the old one refuses to start, and says why', async () => {
    const started = start({ ENCRYPTION_KEY: newKey })
    await expect(started).rejects.toThrow(/encryption key [0-9a-f]{16}.*ENCRYPTION_KEYS_PREVIOUS/)
    const message = await started.catch(({ message }: Error) => message)
    for (const key of [oldKey, newKey]) expect(message).not.toContain(key)
  })

  test('leaves nothing locked by the refusal', async () => {
    const app = await start({ ENCRYPTION_KEY: newKey, ENCRYPTION_KEYS_PREVIOUS: oldKey })
    await app.close()
  })

  test('opens everything with the old one beside it', async () => {
    const app = await start({ ENCRYPTION_KEY: newKey, ENCRYPTION_KEYS_PREVIOUS: oldKey })
    try {
      const client = await app.connect('modern', user.accessToken)
      const sent = await client.call('send_message', {
        message: 'under the new key',
        conversation_id: conversationId,
      })
      expect(sent.structured.data.history.sent).toBe(2)
      const history = await client.call('get_conversation_history', {
        conversation_id: conversationId,
      })
      expect(history.structured.messages[0].content).toBe('under the old key')
      expect(app.claude.messageRequests()[0]?.key).toBe(user.apiKey)
      const other = await app.register()
      const others = await app.connect('legacy', other.accessToken)
      expect((await others.call('send_message', { message: 'new here' })).isError).toBe(false)
    } finally {
      await app.close()
    }
  })
})
