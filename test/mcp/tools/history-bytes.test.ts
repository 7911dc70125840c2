/** Histories that are larger than a result may be. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

type Row = {
  id: string
  content: string
  role: string
  next_offset?: number
  has_older?: true
}
type Page = { messages: Row[]; total: number; next_before: string | null }

const KB = 1024
const MB = 1024 * KB

describeDatabases('a history of many bytes', (kind) => {
  let app: TestApp
  let client: TestClient
  let userId: string
  beforeAll(async () => {
    app = await startApp({ kind, env: { MAX_BODY_BYTES: '33554432' } })
    const user = await app.register()
    userId = user.userId
    client = await app.connect('modern', user.accessToken)
  })
  afterAll(() => app.close())

  const read = async (args: Record<string, unknown>): Promise<Page> => {
    const answer = await client.call('get_conversation_history', args)
    if (answer.isError) throw new Error(answer.text)
    expect(JSON.parse(answer.text)).toEqual(answer.structured.messages)
    return answer.structured
  }
  const bytesOf = ({ messages }: Page) =>
    messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0)
  const readAll = async (conversation_id: string, args: Record<string, unknown> = {}) => {
    const pages: Page[] = []
    let before: string | null = null
    do {
      const page: Page = await read({ conversation_id, ...args, ...(before ? { before } : {}) })
      pages.unshift(page)
      before = page.next_before
    } while (before)
    return pages
  }

  test('comes page by page: 64 KB unasked, a megabyte when asked, and all of it in the end', async () => {
    const texts = Array.from({ length: 48 }, (_, index) => `${index} ${'x'.repeat(30 * KB)}`)
    const conversation_id = await keepConversation(app, userId, texts)
    const unasked = await readAll(conversation_id)
    const asked = await readAll(conversation_id, { limit: 1000 })
    for (const [pages, most] of [
      [unasked, 64 * KB],
      [asked, MB],
    ] as const) {
      expect(Math.max(...pages.map(bytesOf))).toBeLessThanOrEqual(most)
      expect(Math.max(...pages.map(bytesOf))).toBeGreaterThan(most / 2)
      const rows = pages.flatMap(({ messages }) => messages)
      expect(rows.filter(({ role }) => role === 'user').map(({ content }) => content)).toEqual(
        texts,
      )
      expect(rows).toHaveLength(96)
      expect(rows.some((row) => 'next_offset' in row)).toBe(false)
    }
    expect(asked.length).toBeLessThan(unasked.length / 8)
  })

  test('the text block alone says how to go on', async () => {
    const conversation_id = await keepConversation(app, userId, Array(10).fill('y'.repeat(20 * KB)))
    for (const page of await readAll(conversation_id)) {
      const [oldest, ...others] = page.messages
      expect(page.next_before).toBe(oldest?.has_older ? oldest.id : null)
      expect(others.some((row) => 'has_older' in row)).toBe(false)
    }
  })

  describe('a message that is larger than a page', () => {
    test.each([
      [{}, 20_000],
      [{ limit: 5 }, 150_000],
    ])('comes alone and cut, and is read on: %j', async (size, repeats) => {
      const large = 'é€😀'.repeat(repeats)
      const conversation_id = await keepConversation(app, userId, ['before', large, 'after'])
      const rows = (await readAll(conversation_id, size)).flatMap(({ messages }) => messages)
      const questions = rows.filter(({ role }) => role === 'user')
      expect(questions.map(({ next_offset }) => next_offset !== undefined)).toEqual([
        false,
        true,
        false,
      ])
      const cut = questions[1] as Row
      let [text, offset] = [cut.content, cut.next_offset]
      while (offset !== undefined) {
        const { messages, total, next_before } = await read({
          conversation_id,
          message_id: cut.id,
          offset,
          ...size,
        })
        const [row] = messages as [Row]
        expect([messages.length, row.id, total, next_before]).toEqual([1, cut.id, 6, null])
        expect(Buffer.byteLength(row.content)).toBeLessThanOrEqual(MB)
        expect(row.content.isWellFormed()).toBe(true)
        text += row.content
        offset = row.next_offset
      }
      expect(text).toBe(large)
    })

    test('is no place in another conversation, and an offset needs a message', async () => {
      const conversation_id = await keepConversation(app, userId, ['one'])
      const other = await keepConversation(app, userId, ['two'])
      const [row] = (await read({ conversation_id: other })).messages as [Row]
      const wrong = await client.call('get_conversation_history', {
        conversation_id,
        message_id: row.id,
      })
      expect(wrong.structured.error).toMatchObject({
        code: 'not_found',
        details: { field: 'message_id' },
      })
      const lost = await client.call('get_conversation_history', { conversation_id, offset: 4 })
      expect(lost.structured.error).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['offset'] },
      })
    })
  })

  test('an answer is whole up to a megabyte, and read on from where it was cut', async () => {
    const text = 'a€'.repeat(400_000)
    const conversation_id = await keepConversation(app, userId, ['Write a book.'], text)
    const message_id = (await read({ conversation_id })).messages.at(-1)?.id
    let [whole, offset] = ['', 0 as number | undefined]
    while (offset !== undefined) {
      const { data } = (await client.call('get_message', { message_id, offset })).structured
      expect(Buffer.byteLength(data.content)).toBeLessThanOrEqual(MB)
      whole += data.content
      offset = data.next_offset
    }
    expect(whole).toBe(text)
  })

  test('a send reads of it only what Claude may see', async () => {
    app.claude.reset()
    const texts = Array.from({ length: 30 }, (_, index) => `${index} ${'word '.repeat(20_000)}`)
    const conversation_id = await keepConversation(app, userId, texts, 'so.')
    const { data } = (await client.call('send_message', { message: 'And now?', conversation_id }))
      .structured
    const [request] = app.claude.messageRequests() as { json: { messages: unknown[] } }[]
    const { sent, omitted } = data.history
    expect(sent + omitted).toBe(60)
    expect(request?.json.messages).toHaveLength(sent + 1)
    expect(sent).toBeGreaterThan(10)
  })
})
