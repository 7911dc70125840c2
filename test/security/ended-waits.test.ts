/** What was waited for is not handed to a session that has ended meanwhile. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../src/services/access/caller.ts'
import { describeDatabases } from '../support/databases.ts'
import { browserSession, personalToken } from '../support/signed-up.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'

/** Some seconds at the stand-in's pace, most of it after the session has ended. */
const SECRET = 'the words that nobody else may see '.repeat(16)

describeDatabases('a wait of a session that ends', (kind) => {
  let app: TestApp
  let user: TestUser
  let owner: Caller
  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkDelayMs: 40, chunkSize: 4 } })
    app.claude.setReply(() => SECRET)
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    user = await app.register()
    owner = await browserSession(app, user.userId)
  })

  const agent = async (name: string) => {
    const { token, id } = await personalToken(app, owner, ['messages:send'], name)
    return { id, client: await app.connect('legacy', token), token }
  }
  const end = (id: string) => app.app.services.sessions.revokeOne(owner, id)
  const answerOf = async (message_id: string) => {
    const client = await app.connect('modern', user.accessToken)
    const asked = { message_id, wait_seconds: 60 }
    return (await client.call('get_message', asked)).structured.data
  }
  const newestAnswer = async () => {
    const { id } = await app.app.db
      .selectFrom('messages')
      .select('id')
      .where('userId', '=', user.userId)
      .where('role', '=', 'assistant')
      .orderBy('createdAt', 'desc')
      .executeTakeFirstOrThrow()
    return id
  }

  test('by send_message gets no answer and no more of its text, which stays stored and booked', async () => {
    const { id, client } = await agent('sender')
    const shown: string[] = []
    const onprogress = ({ message }: { message?: string }) => void shown.push(message ?? '')
    const asked = { message: 'a question', wait_seconds: 60 }
    const waiting = client.call('send_message', asked, { onprogress })
    await expect.poll(() => shown.length).toBeGreaterThan(0)
    expect(await end(id)).toBe(true)
    const { isError, text, structured } = await waiting
    expect(isError).toBe(true)
    expect(structured.error.code).toBe('unauthenticated')
    expect(text).not.toContain('the words')
    // It did not wait for the end of an answer that it would not get.
    const answerId = await newestAnswer()
    const shownAtEnd = shown.length
    const stored = await answerOf(answerId)
    expect(stored).toMatchObject({ status: 'complete', content: SECRET })
    expect(stored.cost_usd).toBeGreaterThan(0)
    expect(shown).toHaveLength(shownAtEnd)
  })

  test('by send_message that ends with the answer gets none either', async () => {
    const { id, client } = await agent('sender')
    const short = await app.connect('legacy', user.accessToken)
    app.claude.setReply(() => 'short and secret '.repeat(5))
    const waiting = client.call('send_message', { message: 'a question', wait_seconds: 60 })
    await expect.poll(() => app.claude.openStreams()).toBe(1)
    await end(id)
    const { isError, structured, text } = await waiting
    app.claude.setReply(() => SECRET)
    expect([isError, structured.error?.code]).toEqual([true, 'unauthenticated'])
    expect(text).not.toContain('secret')
    const listed = await short.call('get_conversations')
    expect(listed.structured.total).toBe(1)
  })

  test('by get_message, and by a repeat of the call, gets no answer', async () => {
    const { client } = await agent('sender')
    const asked = { message: 'a question', idempotency_key: 'once' }
    const begun = await client.call('send_message', { ...asked, wait_seconds: 0 })
    const { message_id } = begun.structured.data
    expect(begun.structured.data.status).toBe('running')

    const { token, id } = await personalToken(app, owner, owner.scopes, 'reader')
    const reader = await app.connect('legacy', token)
    const shown: string[] = []
    const onprogress = ({ message }: { message?: string }) => void shown.push(message ?? '')
    const waits = [
      reader.call('get_message', { message_id, wait_seconds: 60 }, { onprogress }),
      reader.call('cancel_message', { message_id: begun.structured.data.conversation_id }),
    ]
    await expect.poll(() => shown.length).toBeGreaterThan(0)
    await end(id)
    const [read, other] = await Promise.all(waits)
    expect(read?.structured.error.code).toBe('unauthenticated')
    expect(read?.text).not.toContain('the words')
    expect(other?.isError).toBe(true)
    const shownAtEnd = shown.length
    expect(await answerOf(message_id)).toMatchObject({ status: 'complete' })
    expect(shown).toHaveLength(shownAtEnd)
  })

  test('by a repeat of its call gets no answer', async () => {
    const { client, id } = await agent('sender')
    const asked = { message: 'a question', idempotency_key: 'twice' }
    await client.call('send_message', { ...asked, wait_seconds: 0 })
    const shown: string[] = []
    const onprogress = ({ message }: { message?: string }) => void shown.push(message ?? '')
    const again = client.call('send_message', { ...asked, wait_seconds: 60 }, { onprogress })
    await expect.poll(() => shown.length).toBeGreaterThan(0)
    await end(id)
    const { structured, text } = await again
    expect(structured.error.code).toBe('unauthenticated')
    expect(text).not.toContain('the words')
    expect(await answerOf(await newestAnswer())).toMatchObject({ status: 'complete' })
  })
})
