import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  ConversationDocument,
  contentHash,
} from '../../../src/services/conversations/conversation-document.ts'
import { describeDatabases } from '../../support/databases.ts'
import { eras, startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

const PUBLIC_URL = 'https://gateway.example'
const UNTIL_TOO_LONG = 20

describeDatabases('export_conversation', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { PUBLIC_URL } })
  })
  afterAll(() => app.close())

  /** All parts, joined. */
  async function whole(client: TestClient, args: Record<string, unknown>) {
    const parts: string[] = []
    let cursor: string | null | undefined
    for (let i = 0; i < UNTIL_TOO_LONG && cursor !== null; i += 1) {
      const { structured } = await client.call('export_conversation', {
        ...args,
        ...(cursor === undefined ? {} : { cursor }),
      })
      parts.push(structured.data.text)
      cursor = structured.data.next_cursor
    }
    return parts
  }

  describe.each(eras)('(%s)', (era) => {
    test('as Markdown and as JSON, with what Claude thought', async () => {
      const user = await app.register()
      const client = await app.connect(era, user.accessToken)
      app.claude.script({
        kind: 'reply',
        reply: { text: 'It is **blue**.', thinks: { tokens: 20, ms: 0 } },
      })
      const { structured: sent } = await client.call('send_message', {
        message: 'Which colour?',
        system_prompt: 'Be brief.',
      })
      const { conversation_id } = sent.data
      const { structured: markdown } = await client.call('export_conversation', { conversation_id })
      expect(markdown.data).toMatchObject({
        next_cursor: null,
        download_url: `${PUBLIC_URL}/account/conversations/${conversation_id}/export?format=markdown`,
      })
      expect(markdown.data.text).toMatch(
        /^---\nid: "[^\n]+\ntitle: "Which colour\?"\n.+## System prompt.+Be brief\..+## You · .+Which colour\?.+## Claude · claude-.+It is \*\*blue\*\*\./s,
      )
      const { structured: json } = await client.call('export_conversation', {
        conversation_id,
        format: 'json',
      })
      const document = ConversationDocument.parse(JSON.parse(json.data.text))
      expect(document.conversation).toMatchObject({
        id: conversation_id,
        title: 'Which colour?',
        system_prompt: 'Be brief.',
      })
      expect(document.messages.map(({ role, status }) => [role, status])).toEqual([
        ['user', 'complete'],
        ['assistant', 'complete'],
      ])
      const stored = await app.app.db
        .selectFrom('messages')
        .select('id')
        .where('conversationId', '=', conversation_id)
        .orderBy('position')
        .execute()
      expect(document.messages.map(({ id }) => id)).toEqual(stored.map(({ id }) => id))
      expect(document.messages[1]?.content.at(-1)).toMatchObject({ text: 'It is **blue**.' })
    })

    test('a long one comes in parts, which are the file when joined', async () => {
      const user = await app.register()
      const client = await app.connect(era, user.accessToken)
      const message = '🙂`'.repeat(70_000)
      const { structured } = await client.call('send_message', { message })
      const { conversation_id } = structured.data
      await client.call('send_message', { message: 'short', conversation_id })
      const parts = await whole(client, { conversation_id, format: 'json' })
      expect(parts.length).toBeGreaterThan(1)
      for (const part of parts) {
        expect(part.length).toBeLessThanOrEqual(150_000)
        expect(part.isWellFormed()).toBe(true)
      }
      const document = ConversationDocument.parse(JSON.parse(parts.join('')))
      expect(document.messages).toHaveLength(4)
      expect(document.messages[0]?.content).toEqual([{ type: 'text', text: message }])
      const caller = await app.app.services.sessions.resolve(user.accessToken)
      let streamed = ''
      for await (const piece of app.app.services.conversationExport.stream(
        caller,
        conversation_id,
        'json',
      )) {
        streamed += piece
      }
      expect(streamed).toBe(parts.join(''))
      expect(contentHash(JSON.parse(streamed))).toBe(contentHash(document))
    })

    test('turns of which nothing was kept are left out, also from the parts that follow', async () => {
      const user = await app.register()
      const client = await app.connect(era, user.accessToken)
      const { structured } = await client.call('send_message', { message: 'first' })
      const { conversation_id } = structured.data
      const { structured: failed } = await client.call('send_message', {
        message: 'forgotten',
        conversation_id,
        model: 'no-such-model',
      })
      expect(failed.success).toBe(false)
      await client.call('send_message', { message: 'x'.repeat(200_000), conversation_id })
      const text = (await whole(client, { conversation_id, format: 'json' })).join('')
      const { messages } = ConversationDocument.parse(JSON.parse(text))
      expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant'])
      expect(text).not.toContain('forgotten')
    })
  })

  test("not of another user, nor with another's cursor", async () => {
    const [ada, eve] = [await app.register(), await app.register()]
    const [mine, hers] = [
      await app.connect('legacy', ada.accessToken),
      await app.connect('legacy', eve.accessToken),
    ]
    const { structured } = await mine.call('send_message', { message: 'z'.repeat(200_000) })
    const { conversation_id } = structured.data
    const { structured: part } = await mine.call('export_conversation', { conversation_id })
    const unknown = await hers.call('export_conversation', { conversation_id: randomUUID() })
    for (const cursor of [undefined, part.data.next_cursor]) {
      const refused = await hers.call('export_conversation', {
        conversation_id,
        ...(cursor === undefined ? {} : { cursor }),
      })
      expect(refused.structured).toEqual(unknown.structured)
    }
  })

  test.each(['x', 'MC4w', '', Buffer.from('9999999999.0.1').toString('base64url'), 'ü'])(
    'the cursor %j is refused',
    async (cursor) => {
      const user = await app.register()
      const client = await app.connect('legacy', user.accessToken)
      const { structured } = await client.call('send_message', { message: 'hi' })
      const { conversation_id } = structured.data
      const refused = await client.call('export_conversation', { conversation_id, cursor })
      expect(refused.structured.error).toMatchObject({
        code: 'invalid_input',
        details: { field: 'cursor' },
      })
    },
  )
})
