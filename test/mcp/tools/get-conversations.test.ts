import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { vaultOf } from '../vault-of.ts'

type Row = { id: string; updated_at: string; title: string }

/** More than the default page; three instants among them, so that ties cross every page border. */
const CONVERSATIONS = 55
const INSTANTS = [1, 2, 3].map((day) => new Date(Date.UTC(2026, 0, day)))

describeDatabases('get_conversations', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient

  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    client = await app.connect('modern', user.accessToken)
    await insertConversations(app, user.userId)
  })
  afterAll(() => app.close())

  const page = async (args: Record<string, unknown>) =>
    (await client.call('get_conversations', args)).structured
  const everything = async (): Promise<Row[]> => (await page({ limit: 200 })).conversations

  test('lists all, newest activity first, ties settled', async () => {
    const rows = await everything()
    expect(rows).toHaveLength(CONVERSATIONS)
    const keys = rows.map(({ updated_at, id }) => `${updated_at} ${id}`)
    expect(keys).toEqual([...keys].sort().reverse())
    expect(new Set(rows.map(({ updated_at }) => updated_at)).size).toBe(INSTANTS.length)
    expect(rows.map(({ title }) => title).sort()).toEqual(
      Array.from({ length: CONVERSATIONS }, (_, index) => `Talk ${index}`).sort(),
    )
  })

  test('a page has 50 unless it is told otherwise, and the total is that of all', async () => {
    const first = await page({})
    expect(first.conversations).toHaveLength(50)
    expect(first.total).toBe(CONVERSATIONS)
    expect(first.next_cursor).toEqual(expect.any(String))
    const second = await page({ cursor: first.next_cursor })
    expect(second.conversations).toHaveLength(CONVERSATIONS - 50)
    expect(second).toMatchObject({ total: CONVERSATIONS, next_cursor: null })
  })

  test('pages by cursor are complete and repeat nothing', async () => {
    const seen: Row[] = []
    let cursor: string | null = null
    do {
      const { conversations, next_cursor } = await page({ limit: 7, ...(cursor ? { cursor } : {}) })
      seen.push(...conversations)
      cursor = next_cursor
    } while (cursor)
    expect(seen).toEqual(await everything())
  })

  test('pages by offset are complete and repeat nothing', async () => {
    const seen: Row[] = []
    for (let offset = 0; offset < CONVERSATIONS; offset += 8) {
      seen.push(...(await page({ limit: 8, offset })).conversations)
    }
    expect(seen).toEqual(await everything())
    expect(await page({ offset: CONVERSATIONS })).toMatchObject({
      conversations: [],
      total: CONVERSATIONS,
      next_cursor: null,
    })
  })

  test('a page that ends exactly at the end leads nowhere', async () => {
    const last = await page({ limit: 5, offset: CONVERSATIONS - 5 })
    expect(last.conversations).toHaveLength(5)
    expect(last.next_cursor).toBeNull()
  })

  test('the text block is the rows alone', async () => {
    const { text, structured } = await client.call('get_conversations', { limit: 2 })
    expect(JSON.parse(text)).toEqual(structured.conversations)
  })

  test.each([
    'garbage',
    '',
    Buffer.from(`1.${newId()}' or true`).toString('base64url'),
    Buffer.from(`x.${newId()}`).toString('base64url'),
  ])('a cursor that is none of ours is named: %j', async (cursor) => {
    const { isError, structured } = await client.call('get_conversations', { cursor })
    expect(isError).toBe(true)
    expect(structured.error).toMatchObject({
      code: 'invalid_input',
      retryable: false,
      details: { field: 'cursor' },
    })
  })

  describe('with real talk', () => {
    test('a message moves its conversation to the top, and a cursor does not stumble over it', async () => {
      const before = await page({ limit: 10 })
      const first = await client.call('send_message', { message: 'Older talk' })
      await client.call('send_message', { message: 'Newer talk' })
      const titles = (await page({ limit: 2 })).conversations.map(({ title }: Row) => title)
      expect(titles).toEqual(['Newer talk', 'Older talk'])

      const { conversation_id } = first.structured.data
      await client.call('send_message', { message: 'Again', conversation_id })
      const { conversations, total } = await page({ limit: 2 })
      expect(conversations.map(({ title }: Row) => title)).toEqual(['Older talk', 'Newer talk'])
      expect(conversations[0]).toMatchObject({ id: conversation_id, message_count: 4 })
      expect(total).toBe(CONVERSATIONS + 2)

      const rest = await page({ limit: 200, cursor: before.next_cursor })
      expect(rest.conversations).toHaveLength(CONVERSATIONS - 10)
    })

    test('another user sees none of it, not even with a borrowed cursor', async () => {
      const { next_cursor: cursor } = await page({ limit: 1 })
      const { accessToken } = await app.register()
      const stranger = await app.connect('legacy', accessToken)
      for (const args of [{}, { cursor }, { offset: 1 }]) {
        const { structured } = await stranger.call('get_conversations', args)
        expect(structured).toMatchObject({ conversations: [], total: 0, next_cursor: null })
      }
    })
  })
})

/** Straight into the database: the only way to have many with the same instant of activity. */
async function insertConversations(app: TestApp, userId: string) {
  const keys = await vaultOf(app)
  for (let index = 0; index < CONVERSATIONS; index++) {
    const id = newId()
    const { wrapped: dataKey, vault } = keys.createConversationKey(id, userId)
    const row = {
      id,
      userId,
      dataKey,
      title: vault.sealTitle(`Talk ${index}`),
      systemPrompt: null,
      model: 'claude-sonnet-5-5',
      messageCount: 2,
      updatedAt: INSTANTS[index % INSTANTS.length] as Date,
    }
    await app.app.db.insertInto('conversations').values(row).execute()
  }
}
