/** The user's document, as written: its calls, its fields, its types. Ours may add to them. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { eras, startApp, type TestApp, type TestClient } from '../support/start-app.ts'

const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const INSTANT = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)

/** Every tool of the document, with the JSON type of each of its arguments; `?` is optional. */
const DOCUMENT_INPUTS: Record<string, Record<string, string>> = {
  register_user: { username: 'string', email: 'string', anthropic_api_key: 'string' },
  authenticate_user: { username: 'string', password: 'string' },
  send_message: {
    access_token: 'string?',
    message: 'string',
    conversation_id: 'string?',
    model: 'string?',
    max_tokens: 'integer?',
    temperature: 'number?',
    system_prompt: 'string?',
  },
  get_conversations: { access_token: 'string?', limit: 'integer?', offset: 'integer?' },
  get_conversation_history: { access_token: 'string?', conversation_id: 'string' },
  health_check: {},
}

type Listed = {
  name: string
  inputSchema: { properties?: Record<string, { type?: string }>; required?: string[] }
}

describeDatabases("the document's example", (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  describe.each(eras)('%s era', (era) => {
    let client: TestClient
    const apiKey = 'sk-ant-api03-your-actual-api-key-here'
    const shared: Record<string, string> = {}
    const names = { username: `ai_researcher.${era}`, email: `researcher-${era}@example.com` }

    beforeAll(async () => {
      client = await app.connect(era)
      // From here on the client itself holds every result against the tool's output schema.
      await client.raw.listTools()
    })

    test('lists its tools with its arguments', async () => {
      const { tools } = (await client.raw.listTools()) as { tools: Listed[] }
      for (const [name, fields] of Object.entries(DOCUMENT_INPUTS)) {
        const listed = tools.find((tool) => tool.name === `claude-api-gateway_${name}`)
        const { properties = {}, required = [] } = listed?.inputSchema ?? {}
        for (const [field, type] of Object.entries(fields)) {
          const optional = required.includes(field) ? '' : '?'
          expect(`${properties[field]?.type}${optional}`, `${name}.${field}`).toBe(type)
        }
        const ownMandatory = required.filter((field) => !(field in fields))
        expect(ownMandatory, `${name} demands more than the document gives`).toEqual([])
      }
    })

    test('registers', async () => {
      const { structured, text } = await client.call('register_user', {
        ...names,
        anthropic_api_key: apiKey,
      })
      expect(structured).toEqual({
        success: true,
        data: {
          user_id: UUID,
          username: names.username,
          password: expect.any(String),
          message:
            'User registered successfully. Store your password securely - it cannot be recovered.',
        },
      })
      expect(JSON.parse(text)).toEqual(structured)
      shared.password = structured.data.password
      shared.userId = structured.data.user_id
    })

    test('authenticates', async () => {
      const { structured, text } = await client.call('authenticate_user', {
        username: names.username,
        password: shared.password,
      })
      expect(structured).toEqual({
        success: true,
        data: {
          access_token: expect.any(String),
          token_type: 'Bearer',
          expires_at: INSTANT,
          user_id: shared.userId,
        },
      })
      expect(JSON.parse(text)).toEqual(structured)
      shared.accessToken = structured.data.access_token
    })

    test('sends a first message with every argument of the document', async () => {
      const { structured, text } = await client.call('send_message', {
        access_token: shared.accessToken,
        message: 'Explain the double-slit experiment in quantum physics',
        model: 'claude-sonnet-4-6',
        max_tokens: 4096,
        temperature: 0.7,
        system_prompt: 'You are a physics professor explaining complex concepts clearly.',
      })
      expect(structured).toMatchObject({
        success: true,
        data: {
          conversation_id: UUID,
          message_id: UUID,
          content: 'Explain the double-slit experiment in quantum physics',
          model: 'claude-sonnet-4-6',
          usage: { input_tokens: expect.any(Number), output_tokens: expect.any(Number) },
        },
      })
      expect(structured.data.usage.input_tokens).toBeGreaterThan(0)
      expect(JSON.parse(text)).toEqual(structured)
      shared.conversationId = structured.data.conversation_id
      shared.answerId = structured.data.message_id
    })

    test('continues the conversation', async () => {
      const { structured } = await client.call('send_message', {
        access_token: shared.accessToken,
        message: 'Can you give me a practical analogy for wave-particle duality?',
        conversation_id: shared.conversationId,
      })
      expect(structured.data).toMatchObject({
        conversation_id: shared.conversationId,
        model: 'claude-sonnet-4-6',
        history: { sent: 2, omitted: 0 },
      })
    })

    test('reads the history as a bare array of rows', async () => {
      const { structured, text } = await client.call('get_conversation_history', {
        access_token: shared.accessToken,
        conversation_id: shared.conversationId,
      })
      const rows = JSON.parse(text)
      expect(rows).toHaveLength(4)
      const row = {
        id: UUID,
        timestamp: INSTANT,
        token_count: expect.any(Number),
        model_used: 'claude-sonnet-4-6',
      }
      const content = 'Explain the double-slit experiment in quantum physics'
      expect(rows[0]).toMatchObject({ ...row, role: 'user', content })
      expect(rows[1]).toMatchObject({ ...row, role: 'assistant', content, id: shared.answerId })
      expect(structured).toEqual({ success: true, messages: rows, total: 4, next_before: null })
    })

    test('lists the conversations as a bare array of rows', async () => {
      const { structured, text } = await client.call('get_conversations', {
        access_token: shared.accessToken,
        limit: 50,
        offset: 0,
      })
      const rows = JSON.parse(text)
      expect(rows).toEqual([
        {
          id: shared.conversationId,
          title: 'Explain the double-slit experiment in quantum physics',
          created_at: INSTANT,
          updated_at: INSTANT,
          message_count: 4,
          is_active: true,
          model: 'claude-sonnet-4-6',
          role: 'owner',
          owner: expect.any(String),
          archived: false,
          shared: false,
          branched_from: null,
          payer: 'sender',
          payers: 'any',
          team: null,
        },
      ])
      expect(structured).toEqual({
        success: true,
        conversations: rows,
        total: 1,
        next_cursor: null,
      })
    })

    test('checks health', async () => {
      const { structured } = await client.call('health_check', {})
      expect(structured).toMatchObject({ success: true, data: { status: 'healthy' } })
    })

    test('reads the metrics', async () => {
      const reader = await app.connect(era, shared.accessToken)
      const { contents } = await reader.raw.readResource({
        uri: 'mcp://claude-api-gateway/metrics',
      })
      expect(JSON.parse((contents[0] as { text: string }).text)).toMatchObject({
        active_users: 1,
        total_conversations: 1,
        messages_last_24h: 4,
        performance: expect.any(Object),
        security: expect.any(Object),
      })
    })
  })
})
