/** What Claude sees of a conversation, and in which bytes. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

type Message = { role: string; content: { type: string; text: string }[] }
type Body = { messages: Message[]; system?: { type: string; text: string }[] }

let app: TestApp
let client: TestClient

const send = async (args: Record<string, unknown>) => {
  const { structured } = await client.call('send_message', args)
  return structured.data ?? structured.error
}
const bodies = () => app.claude.messageRequests().map(({ json }) => json as Body)
const lastBody = () => bodies().at(-1) as Body
const textsOf = ({ messages }: Body) => messages.map(({ content }) => content[0]?.text)
const historyOf = async (conversation_id: string) =>
  (await client.call('get_conversation_history', { conversation_id })).structured.messages

async function start(kind: Parameters<typeof startApp>[0]['kind'], env: Record<string, string>) {
  app = await startApp({ kind, env })
  const { accessToken } = await app.register()
  client = await app.connect('modern', accessToken)
}

describe('as said', () => {
  beforeAll(() => start('embedded', {}))
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  const odd = ' \n# Title\r\n\ttabs  "quotes" \\ 🦊 \u2028 e\u0301 \u0000 </s> '

  test('what was said is kept and replayed to the letter', async () => {
    app.claude.setReply({ text: `${odd}!` })
    const { conversation_id, content } = await send({ message: odd })
    expect(content).toBe(`${odd}!`)
    await send({ conversation_id, message: 'And?' })
    expect(textsOf(lastBody())).toEqual([odd, `${odd}!`, 'And?'])
    const rows = await historyOf(conversation_id)
    expect(rows[0].content).toBe(odd)
    expect(rows[1].content).toBe(`${odd}!`)
  })

  test('thinking is paid for and kept to itself', async () => {
    const first = await send({ message: 'Think.', thinking: 'adaptive' })
    expect(first).toMatchObject({ content: 'Think.', usage: { output_tokens: 2 + 8 } })
    const { conversation_id } = first
    const second = await send({ conversation_id, message: 'Again.', thinking: 'adaptive' })
    expect(second.history).toEqual({ sent: 2, omitted: 0 })
    const sent = JSON.stringify(lastBody().messages)
    expect(sent).not.toMatch(/"thinking"|signature/)
    expect(lastBody().messages[1]).toEqual({
      role: 'assistant',
      content: [{ type: 'text', text: 'Think.' }],
    })
    expect(JSON.stringify(await historyOf(conversation_id))).not.toContain('signature')
  })

  test('an answer in several blocks is replayed in the same blocks, and read as one text', async () => {
    const blocks = ['One. ', 'Two.'].map((text) => ({ type: 'text', text, citations: null }))
    app.claude.setReply({ content: blocks })
    const { conversation_id, content } = await send({ message: 'Count.' })
    expect(content).toBe('One. Two.')
    await send({ conversation_id, message: 'On.' })
    expect(lastBody().messages[1]?.content).toEqual([
      { type: 'text', text: 'One. ' },
      { type: 'text', text: 'Two.' },
    ])
  })

  test('the system prompt is kept, replaced, and removed', async () => {
    const systemOf = () => lastBody().system?.map(({ text }) => text)
    const { conversation_id } = await send({ message: '1', system_prompt: 'Be a professor.' })
    expect(systemOf()).toEqual(['Be a professor.'])
    await send({ conversation_id, message: '2' })
    expect(systemOf()).toEqual(['Be a professor.'])
    await send({ conversation_id, message: '3', system_prompt: 'Be a poet.' })
    await send({ conversation_id, message: '4' })
    expect(systemOf()).toEqual(['Be a poet.'])
    await send({ conversation_id, message: '5', system_prompt: '' })
    expect(systemOf()).toBeUndefined()
    await send({ conversation_id, message: '6' })
    expect(systemOf()).toBeUndefined()
  })

  test('a failed turn is shown with its status, and Claude is spared it', async () => {
    const { conversation_id } = await send({ message: 'Good.' })
    app.claude.script({ kind: 'status', status: 400 })
    const failed = await send({ conversation_id, message: 'Bad.' })
    expect(failed.code).toBe('upstream_invalid_request')
    const next = await send({ conversation_id, message: 'Good again.' })
    expect(next.history).toEqual({ sent: 2, omitted: 0 })
    expect(textsOf(lastBody())).toEqual(['Good.', 'Good.', 'Good again.'])
    const rows: { status: string; error_code: string }[] = await historyOf(conversation_id)
    expect(rows.map(({ status, error_code }) => [status, error_code])).toEqual([
      ['complete', null],
      ['complete', null],
      ['failed', null],
      ['failed', 'upstream_invalid_request'],
      ['complete', null],
      ['complete', null],
    ])
  })
})

describe('too long for Anthropic', () => {
  beforeAll(() => start('embedded', {}))
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  const tooLong = {
    kind: 'status' as const,
    status: 400,
    message: 'prompt is too long: 1000001 tokens > 1000000 maximum',
  }
  const fourTurns = async () => {
    let conversation_id: string | undefined
    for (const message of ['turn 1', 'turn 2', 'turn 3', 'turn 4']) {
      const continued = conversation_id ? { conversation_id } : {}
      conversation_id = (await send({ message, ...continued })).conversation_id
    }
    app.claude.reset()
    return conversation_id
  }

  test('the older half is left out, the send repeated once, and the cut remembered', async () => {
    const conversation_id = await fourTurns()
    app.claude.script(tooLong)
    const data = await send({ conversation_id, message: 'turn 5' })
    expect(data).toMatchObject({ status: 'complete', history: { sent: 4, omitted: 4 } })
    expect(bodies().map(({ messages }) => messages.length)).toEqual([9, 5])
    expect(textsOf(lastBody())[0]).toBe('turn 3')

    const next = await send({ conversation_id, message: 'turn 6' })
    expect(next.history).toEqual({ sent: 6, omitted: 4 })
    expect(textsOf(lastBody())[0]).toBe('turn 3')
  })

  test('twice too long is an error, after two calls', async () => {
    const conversation_id = await fourTurns()
    app.claude.script(tooLong, tooLong)
    const error = await send({ conversation_id, message: 'turn 5' })
    expect(error).toMatchObject({ code: 'context_too_long', retryable: false })
    expect(bodies()).toHaveLength(2)
    const next = await send({ conversation_id, message: 'turn 6' })
    expect(next.history, 'nothing was delivered, so nothing is cut').toEqual({
      sent: 8,
      omitted: 0,
    })
  })

  test('the window of the model is respected before Anthropic has to say so', async () => {
    app.claude.setReply({ text: 'Read.' })
    // About 114 000 tokens each, by the estimate, for a window of 200 000.
    const book = 'x'.repeat(400_000)
    const model = 'claude-haiku-4-5'
    const { conversation_id } = await send({ message: book, model })
    const second = await send({ conversation_id, message: book })
    expect(second).toMatchObject({ status: 'complete', history: { sent: 0, omitted: 2 } })
    const other = await send({ conversation_id, message: 'What did I send?' })
    expect(other.history).toEqual({ sent: 2, omitted: 2 })
    expect(app.claude.messageRequests().map(({ status }) => status)).toEqual([200, 200, 200])
  })

  test('a max_tokens beyond what the model writes takes no room from the history', async () => {
    const conversation_id = await fourTurns()
    const data = await send({ conversation_id, message: 'turn 5', max_tokens: 1_000_000 })
    expect(data.history).toEqual({ sent: 8, omitted: 0 })
  })
})

describe('a limit too small for a share of it', () => {
  beforeAll(() => start('embedded', { MAX_CONVERSATION_LENGTH: '3' }))
  afterAll(() => app.close())

  test('forgets everything at a cut, and remembers what comes after it', async () => {
    const sent: number[] = []
    let conversation_id: string | undefined
    for (let turn = 1; turn <= 6; turn++) {
      const args = conversation_id ? { conversation_id } : {}
      const data = await send({ message: `turn ${turn}`, ...args })
      conversation_id = data.conversation_id
      sent.push(data.history.sent)
    }
    expect(sent).toEqual([0, 2, 0, 2, 0, 2])
  })
})

describeDatabases('MAX_CONVERSATION_LENGTH', (kind) => {
  const LIMIT = 12
  const TURNS = 13
  beforeAll(() => start(kind, { MAX_CONVERSATION_LENGTH: String(LIMIT) }))
  afterAll(() => app.close())

  test('cuts in large steps, remembers the cut, says so, and leaves the bytes in between alone', async () => {
    // Long enough for the prompt cache of this model: 1024 tokens of 4 bytes.
    const system_prompt = 'four'.repeat(1024)
    const histories: { sent: number; omitted: number }[] = []
    const read: number[] = []
    let conversation_id: string | undefined
    for (let turn = 1; turn <= TURNS; turn++) {
      const args = conversation_id ? { conversation_id } : { system_prompt }
      const data = await send({ message: `turn ${turn}`, ...args })
      conversation_id = data.conversation_id
      histories.push(data.history)
      read.push(data.usage.cache_read_input_tokens)
    }
    // 5 turns and the new message are 11; a sixth does not fit, and 60 % of 12 are 3 turns.
    expect(histories.map(({ sent }) => sent)).toEqual([0, 2, 4, 6, 8, 10, 6, 8, 10, 6, 8, 10, 6])
    expect(histories.map(({ omitted }) => omitted)).toEqual([
      0, 0, 0, 0, 0, 0, 6, 6, 6, 12, 12, 12, 18,
    ])

    const requests = app.claude.messageRequests()
    for (const [index, { body, json }] of requests.entries()) {
      const { messages } = json as Body
      expect(messages.length).toBeLessThanOrEqual(LIMIT)
      expect(messages[0]?.role).toBe('user')
      const next = requests[index + 1]
      if (!next || histories[index + 1]?.omitted !== histories[index]?.omitted) continue
      const sent = JSON.stringify(messages)
      const end = body.indexOf(sent) + sent.length - 1
      expect(end, 'the body holds its messages in this form').toBeGreaterThan(sent.length)
      expect(next.body.slice(0, end)).toBe(body.slice(0, end))
    }

    // Written in the second turn, read from the third on, and lost only where a cut was made.
    const isCut = (index: number) => histories[index]?.omitted !== histories[index - 1]?.omitted
    read.forEach((tokens, index) => {
      if (index < 2 || isCut(index)) return
      expect(tokens, `turn ${index + 1}`).toBeGreaterThan(1024)
    })
  })
})
