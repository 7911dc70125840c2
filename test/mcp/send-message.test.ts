import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'

describeDatabases('send_message', (kind) => {
  let app: TestApp
  let user: TestUser

  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
  })
  afterAll(() => app.close())

  describe.each(eras)('%s era', (era) => {
    let client: TestClient
    beforeAll(async () => {
      client = await app.connect(era, user.accessToken)
    })

    test('answers, and continues the conversation with what was said', async () => {
      app.claude.reset()
      const first = await client.call('send_message', { message: 'What is a qubit?' })
      expect(first.structured).toMatchObject({
        success: true,
        data: { status: 'complete', content: 'What is a qubit?', model: 'claude-sonnet-5-5' },
      })
      const { conversation_id } = first.structured.data
      const second = await client.call('send_message', { message: 'An example?', conversation_id })
      expect(second.structured.data.history).toEqual({ sent: 2, omitted: 0 })
      const [, sent] = app.claude.messageRequests()
      expect(sent?.json).toHaveProperty('messages', [
        { role: 'user', content: [{ type: 'text', text: 'What is a qubit?' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'What is a qubit?' }] },
        { role: 'user', content: [{ type: 'text', text: 'An example?' }] },
      ])
      expect(sent?.key).toBe(user.apiKey)
    })
  })
})
