import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { describeDatabases } from '../../support/databases.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'

const UUID = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)

describeDatabases('send_message', (kind) => {
  let app: TestApp
  let user: TestUser

  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
  })
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  describe.each(eras)('%s era', (era) => {
    let client: TestClient
    beforeAll(async () => {
      client = await app.connect(era, user.accessToken)
      await client.raw.listTools()
    })

    test('answers with exactly these fields', async () => {
      const { structured, text } = await client.call('send_message', {
        message: 'What is a qubit?',
      })
      expect(structured).toEqual({
        success: true,
        data: {
          conversation_id: UUID,
          message_id: UUID,
          status: 'complete',
          content: 'What is a qubit?',
          model: 'claude-sonnet-5-5',
          // 16 bytes are 4 tokens, and each message 3 more: so the stand-in counts.
          usage: {
            input_tokens: 7,
            output_tokens: 4,
            cache_read_input_tokens: 0,
            cache_creation_input_tokens: 0,
          },
          cost_usd: 0.000054,
          stop_reason: 'end_turn',
          stop_sequence: null,
          truncated: false,
          refused: false,
          refusal_category: null,
          request_id: expect.stringMatching(/^req_/),
          sender: user.username,
          paid_by: { kind: 'own', key_last_four: user.apiKey.slice(-4) },
          history: { sent: 0, omitted: 0 },
          replayed: false,
          warnings: [],
        },
      })
      expect(JSON.parse(text)).toEqual(structured)
    })

    test('continues the conversation with what was said', async () => {
      const first = await client.call('send_message', { message: 'What is a qubit?' })
      const { conversation_id } = first.structured.data
      const second = await client.call('send_message', { message: 'An example?', conversation_id })
      expect(second.structured.data).toMatchObject({
        conversation_id,
        history: { sent: 2, omitted: 0 },
      })
      const [, sent] = app.claude.messageRequests()
      expect(sent?.json).toHaveProperty('messages', [
        { role: 'user', content: [{ type: 'text', text: 'What is a qubit?' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'What is a qubit?' }] },
        { role: 'user', content: [{ type: 'text', text: 'An example?' }] },
      ])
    })

    test('a conversation that is not one’s own does not exist', async () => {
      const stranger = await app.register()
      const theirs = await app.connect(era, stranger.accessToken)
      const { structured } = await theirs.call('send_message', { message: 'Mine.' })
      const { conversation_id } = structured.data
      app.claude.reset()
      const [foreign, unknown] = [
        await client.call('send_message', { message: 'Yours?', conversation_id }),
        await client.call('send_message', { message: 'Whose?', conversation_id: newId() }),
      ]
      expect(foreign).toEqual(unknown)
      expect(foreign.structured.error).toMatchObject({
        code: 'not_found',
        retryable: false,
        details: { field: 'conversation_id' },
      })
      expect(app.claude.journal).toEqual([])
    })
  })

  test('goes upstream as one streamed call with the user’s own key, and names nobody', async () => {
    const client = await app.connect('modern', user.accessToken)
    await client.call('send_message', {
      message: 'Hello.',
      max_tokens: 99,
      stop_sequences: ['END'],
      system_prompt: 'Be brief.',
    })
    const [sent, ...more] = app.claude.messageRequests()
    expect(more).toEqual([])
    expect(sent?.key).toBe(user.apiKey)
    expect(sent?.headers['anthropic-version']).toBe('2026-10-21')
    expect(sent?.json).toEqual({
      model: 'claude-sonnet-5-5',
      max_tokens: 99,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello.' }] }],
      stop_sequences: ['END'],
      thinking: { type: 'between_tools' },
      metadata: { user_id: expect.stringMatching(/^[0-9a-f]{64}$/) },
      stream: true,
    })
    for (const name of [user.username, user.email, user.userId]) {
      expect(sent?.body).not.toContain(name)
    }
  })

  test('of users who send at once each gets the answer to their own question', async () => {
    const users = await Promise.all([1, 2, 3].map(() => app.register()))
    const answers = await Promise.all(
      users.flatMap(({ accessToken, username }) =>
        eras.map(async (era) => {
          const client = await app.connect(era, accessToken)
          const { structured } = await client.call('send_message', { message: `I am ${username}` })
          return structured.data.content === `I am ${username}`
        }),
      ),
    )
    expect(answers).toEqual(Array.from({ length: 6 }, () => true))
    for (const { apiKey, username } of users) {
      const own = app.claude.messageRequests().filter(({ key }) => key === apiKey)
      expect(own).toHaveLength(2)
      for (const { body } of own) expect(body).toContain(username)
    }
  })

  test('no message text is written to the log', async () => {
    const client = await app.connect('legacy', user.accessToken)
    const message = 'A secret nobody may log'
    await client.call('send_message', { message, system_prompt: 'Another secret' })
    app.claude.script({ kind: 'status', status: 400, message: 'A third secret' })
    await client.call('send_message', { message })
    expect(app.logLines.join('')).not.toMatch(/secret/)
  })
})
