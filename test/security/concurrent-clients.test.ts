/**
 * Many clients through one process at once, told apart by nothing but their connection: the same
 * JSON-RPC ids, the same progress tokens, both eras. Each gets its own answers and nobody else's.
 */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { type Era, eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, post, type RpcMessage, toolCall } from './raw-mcp.ts'

const USERS = 3
const SENDS_PER_USER_AND_ERA = 5
const READS = 400
const SHARED_ID = 1
const SHARED_TOKEN = 'progress'

describeDatabases('clients at once', (kind) => {
  let app: TestApp
  let users: TestUser[]

  beforeAll(async () => {
    app = await startApp({ kind, claude: { chunkSize: 64, chunkDelayMs: 40 } })
    users = []
    for (let i = 0; i < USERS; i++) users.push(await app.register(`user-${'abc'[i]}`))
  })
  afterAll(() => app.close())

  /** Half of the senders name themselves by header, half by argument. */
  async function send(user: TestUser, era: Era, number: number) {
    const mark = `${user.username}-${era}-${number}`
    const message = Array(60).fill(mark).join(' ')
    const byHeader = number % 2 === 0
    const args = byHeader ? { message } : { message, access_token: user.accessToken }
    const options = { id: SHARED_ID, progressToken: SHARED_TOKEN }
    const request = toolCall(era, 'send_message', args, options)
    const { messages } = await post(app.url, request, byHeader ? bearer(user.accessToken) : {})
    return { user, mark, message, messages }
  }

  const isProgress = ({ method }: RpcMessage) => method === 'notifications/progress'

  test('every answer and every progress message belongs to its asker', async () => {
    const sends = Array.from({ length: SENDS_PER_USER_AND_ERA }, (_, number) =>
      users.flatMap((user) => eras.map((era) => send(user, era, number))),
    ).flat()
    const answers = await Promise.all(sends)
    const progressed = answers.filter(({ messages }) => messages.some(isProgress))
    expect(progressed.length).toBeGreaterThan(answers.length / 2)

    for (const { mark, message, messages } of answers) {
      const [answer, ...more] = messages.filter(({ method }) => method === undefined)
      expect(more).toEqual([])
      expect(answer?.id).toBe(SHARED_ID)
      expect(answer?.result.structuredContent).toMatchObject({ data: { content: message } })
      let last = 0
      for (const { params } of messages.filter(isProgress)) {
        expect(params.progressToken).toBe(SHARED_TOKEN)
        expect(params.progress).toBeGreaterThan(last)
        last = params.progress
        expectOnly(mark, params.message)
      }
    }

    for (const user of users) await expectOwnOnly(user, answers)
  })

  /** The text is the end of a row of marks, cut at any place. */
  function expectOnly(mark: string, text: string) {
    const endless = Array(60).fill(mark).join(' ')
    const cut = text.replace(/^…/, '')
    expect(cut.length).toBeGreaterThan(0)
    expect(endless).toContain(cut)
  }

  async function expectOwnOnly(user: TestUser, answers: Awaited<ReturnType<typeof send>>[]) {
    const client = await app.connect('modern', user.accessToken)
    const { conversations } = (await client.call('get_conversations', { limit: 200 })).structured
    const mine = answers.filter((answer) => answer.user === user)
    expect(conversations).toHaveLength(mine.length)
    for (const { title } of conversations) expect(title).toMatch(new RegExp(`^${user.username}-`))
    const asked = app.claude.messageRequests().filter(({ key }) => key === user.apiKey)
    expect(asked.map(({ body }) => body)).toHaveLength(mine.length)
    for (const { body } of asked) expect(body).toContain(user.username)
  }

  test('hundreds of reads at once, all of one id, show everyone their own', async () => {
    const [ada, bob] = users as [TestUser, TestUser]
    const tools = ['get_conversations', 'get_conversation_history', 'health_check'] as const
    for (const user of [ada, bob]) await send(user, 'legacy', 0)
    const read = async (number: number) => {
      const user = number % 2 ? ada : bob
      const era = eras[number % 4 < 2 ? 0 : 1] as Era
      const tool = tools[number % tools.length] as (typeof tools)[number]
      // Each asks for Ada's: only she has it.
      const args = tool === 'get_conversation_history' ? { conversation_id: await adasFirst } : {}
      const byHeader = number % 5 !== 0 || tool === 'health_check'
      const token = byHeader ? {} : { access_token: user.accessToken }
      const request = toolCall(era, tool, { ...args, ...token }, { id: SHARED_ID })
      const answer = await post(app.url, request, byHeader ? bearer(user.accessToken) : {})
      return { user, era, tool, answer }
    }
    const client = await app.connect('legacy', ada.accessToken)
    const adasFirst = client
      .call('get_conversations')
      .then(({ structured }) => structured.conversations[0].id as string)
    const answers = await Promise.all(Array.from({ length: READS }, (_, number) => read(number)))
    for (const { user, era, tool, answer } of answers) {
      const [{ id, result } = { id: undefined, result: undefined }, ...more] = answer.messages
      expect(more).toEqual([])
      expect(id).toBe(SHARED_ID)
      expect(result.resultType).toBe(era === 'modern' ? 'complete' : undefined)
      const { data, error, conversations, messages } = result.structuredContent
      // Not whether it is healthy: the look at the database may wait longer here than it is given.
      if (tool === 'health_check') expect(data.database.kind).toBe(kind)
      else if (tool === 'get_conversations') {
        expect(conversations.length).toBeGreaterThan(0)
        for (const { title } of conversations) expect(title).toContain(`${user.username}-`)
      } else if (user === ada) expect(messages[0].content).toContain(`${ada.username}-`)
      else expect(error.code).toBe('not_found')
    }
  })

  test.each(eras)("nobody can cancel another's call by its id (%s era)", async (era) => {
    app.claude.reset()
    app.claude.script({ kind: 'delay', delayMs: 600 })
    const [ada, eve] = users as [TestUser, TestUser]
    const running = send(ada, era, 0)
    await expect.poll(() => app.claude.messageRequests()).toHaveLength(1)
    const params = { requestId: SHARED_ID, reason: 'mine now' }
    const cancellation = { jsonrpc: '2.0', method: 'notifications/cancelled', params }
    for (const headers of [bearer(eve.accessToken), {}]) {
      await post(app.url, { body: cancellation, headers: { ...headers, ...LEGACY } })
    }
    const { messages, message } = await running
    expect(messages.at(-1)?.result.structuredContent.data.content).toBe(message)
    expect(app.claude.abortedStreams()).toBe(0)
  })

  test('one may cancel their own', async () => {
    app.claude.reset()
    const [ada] = users as [TestUser]
    const running = send(ada, 'legacy', 0)
    await expect.poll(() => app.claude.openStreams()).toBe(1)
    const cancellation = {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: SHARED_ID },
    }
    await post(app.url, { body: cancellation, headers: LEGACY }, bearer(ada.accessToken))
    await expect.poll(() => app.claude.abortedStreams()).toBe(1)
    const { messages } = await running
    expect(messages.at(-1)?.result.structuredContent.error.code).toBe('cancelled')
  })
})

const LEGACY = { 'MCP-Protocol-Version': '2025-11-25' }
