import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { NotFoundError } from '@anthropic-ai/sdk'
import { describe, expect, test } from 'vitest'
import {
  ask,
  client,
  OLD_SONNET,
  post,
  QUIET,
  SONNET,
  standInForTests,
} from './claude-stand-in/probe.ts'
import { startClaudeStandIn } from './claude-stand-in/server.ts'

const nowMs = Date.UTC(2026, 10, 22)
const standIn = await standInForTests({ now: () => nowMs, chunkSize: 4 })

describe('the envelope', () => {
  test('a success carries ids, rate limits and a fresh request id', async () => {
    const first = await post(standIn, {})
    const second = await post(standIn, {})
    expect(first.status).toBe(200)
    expect(first.headers.get('request-id')).toMatch(/^req_/)
    expect(first.headers.get('request-id')).not.toBe(second.headers.get('request-id'))
    expect(first.headers.get('anthropic-organization-id')).toBeTruthy()
    for (const unit of ['requests', 'tokens', 'input-tokens', 'output-tokens']) {
      expect(first.headers.get(`anthropic-ratelimit-${unit}-reset`)).toMatch(/^2026-11-22T.*Z$/)
    }
  })

  test('an error repeats the request id of its header in the body', async () => {
    const { status, json, headers } = await post(standIn, { path: '/v1/complete' })
    expect(status).toBe(404)
    expect(json).toMatchObject({ type: 'error', error: { type: 'not_found_error' } })
    expect(json.request_id).toBe(headers.get('request-id'))
  })

  test('x-api-key wins over a bearer token, and either is enough', async () => {
    await post(standIn, { headers: { authorization: 'Bearer two' } })
    await post(standIn, { headers: { authorization: 'Bearer two', 'x-api-key': undefined } })
    expect(standIn.journal.map(({ key }) => key)).toEqual(['sk-ant-one', 'two'])
  })

  test('the journal keeps what was sent and what it was answered with', async () => {
    await post(standIn, { body: ask('keep me'), headers: { 'x-trace': 'a' } })
    await post(standIn, { body: '{"broken' })
    expect(standIn.journal).toMatchObject([
      { method: 'POST', path: '/v1/messages', status: 200, at: nowMs, json: ask('keep me') },
      { body: '{"broken', status: 400 },
    ])
    expect(standIn.journal[0]?.headers['x-trace']).toBe('a')
    expect(standIn.journal[1]?.json).toBeUndefined()
  })

  test('only listed keys are let in', async () => {
    standIn.setValidKeys(['good'])
    expect((await post(standIn, {})).error).toEqual({
      type: 'authentication_error',
      message: 'invalid x-api-key',
    })
    expect((await post(standIn, { headers: { 'x-api-key': 'good' } })).status).toBe(200)
  })
})

describe('models', () => {
  test('the list hides retired models unless asked, and pages', async () => {
    const live = await client(standIn).models.list({ limit: 1000 })
    expect(live.data.map(({ id }) => id)).toContain(SONNET)
    expect(live.data.every(({ lifecycle }) => lifecycle !== 'retired')).toBe(true)
    const retired = await client(standIn).models.list({ lifecycle: ['retired'] })
    expect(retired.data.find(({ id }) => id === 'claude-3-opus-20240229')).toMatchObject({
      lifecycle: 'retired',
      retires_at: '2026-01-05T00:00:00Z',
    })
    const paged: string[] = []
    for await (const { id } of client(standIn).models.list({ limit: 4 })) paged.push(id)
    expect(paged).toEqual(live.data.map(({ id }) => id))
  })

  test('retrieve resolves aliases and tells limits, thinking types and dates', async () => {
    expect(await client(standIn).models.retrieve('claude-sonnet-4-5')).toMatchObject({
      id: 'claude-sonnet-4-5-20250929',
      lifecycle: 'deprecated',
      retires_at: '2026-11-30T00:00:00Z',
      max_input_tokens: 200_000,
      max_tokens: 64_000,
    })
    const { capabilities } = await client(standIn).models.retrieve(SONNET)
    expect(capabilities?.thinking.types).toEqual({
      adaptive: { supported: true },
      between_tools: { supported: true },
      disabled: { supported: false },
      enabled: { supported: false },
    })
    await expect(client(standIn).models.retrieve('claude-latest')).rejects.toThrow(NotFoundError)
  })
})

describe('answers', () => {
  test('the SDK reads an echo, its usage and its request id', async () => {
    const message = await client(standIn).messages.create(ask('Grüße an Ada', QUIET))
    expect(message).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: SONNET,
      content: [{ type: 'text', text: 'Grüße an Ada' }],
      stop_reason: 'end_turn',
      stop_details: null,
      usage: { input_tokens: 4 + 3, output_tokens: 4, output_tokens_details: null },
    })
    expect(message._request_id).toMatch(/^req_/)
    expect(standIn.messageRequests()[0]?.key).toBe('sk-ant-one')
  })

  test('count_tokens and messages count alike', async () => {
    const { model, messages } = ask('how many?')
    const prompt = { model, messages, system: 'Be brief.', tools: [] }
    const counted = await client(standIn).messages.countTokens(prompt)
    const { usage } = await client(standIn).messages.create({ ...prompt, max_tokens: 100 })
    expect(usage.input_tokens).toBe(counted.input_tokens)
    expect(standIn.billed()).toMatchObject({ calls: 1, inputTokens: counted.input_tokens })
  })

  test('a stream ends in the same message as JSON', async () => {
    const json = await client(standIn).messages.create(ask('one, two, 😀 three'))
    const streamed = await client(standIn).messages.stream(ask('one, two, 😀 three')).finalMessage()
    expect(streamed.content).toEqual(json.content)
    expect(streamed.stop_reason).toBe('end_turn')
    expect(streamed.usage).toEqual(json.usage)
    expect(standIn.billed()).toMatchObject({ calls: 2, outputTokens: 2 * json.usage.output_tokens })
  })

  test('stream events come in the documented order', async () => {
    const { text, headers } = await post(standIn, { body: { ...ask('abcdefgh'), stream: true } })
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const events = text
      .trim()
      .split('\n\n')
      .map((event) => event.split('\n'))
    expect(events.map(([name]) => name?.slice('event: '.length))).toEqual([
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_stop',
      'content_block_start',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ])
    const start = JSON.parse(events[0]?.[1]?.slice('data: '.length) ?? '')
    expect(start.message.usage).toMatchObject({ input_tokens: 5, output_tokens: 1 })
  })

  test('thinking is on where the model has it on, and is paid for', async () => {
    const { content, usage } = await client(standIn).messages.create(ask('1234'))
    expect(content).toMatchObject([
      { type: 'thinking', thinking: '', signature: expect.any(String) },
      { type: 'text', text: '1234' },
    ])
    expect(usage).toMatchObject({ output_tokens: 9, output_tokens_details: { thinking_tokens: 8 } })
    const shown = ask('1234', { thinking: { type: 'adaptive', display: 'summarized' } })
    const summarized = await client(standIn).messages.stream(shown).finalMessage()
    expect(summarized.content[0]).toMatchObject({ thinking: expect.stringMatching(/\w/) })
    const old = await client(standIn).messages.create({ ...ask('1234'), model: OLD_SONNET })
    expect(old.content).toHaveLength(1)
  })

  test('a thinking block may come back to its model; another drops or rejects it', async () => {
    const { content } = await client(standIn).messages.create(ask('1234'))
    const messages = [
      ...ask('1').messages,
      { role: 'assistant' as const, content },
      ...ask('2').messages,
    ]
    const replay = (model: string) =>
      client(standIn).messages.create({ model, max_tokens: 100, messages })
    const own = await replay(SONNET)
    const dropped = await replay('claude-opus-5-5')
    expect(own.usage.input_tokens - dropped.usage.input_tokens).toBe(8)
    await expect(replay('claude-opus-5')).rejects.toThrow(/Invalid `signature`/)
  })

  test('max_tokens cuts the text, thinking first, never inside a character', async () => {
    const cut = await client(standIn).messages.create(ask('äöüß'.repeat(9), { max_tokens: 10 }))
    expect(cut.stop_reason).toBe('max_tokens')
    expect(cut.content[1]).toMatchObject({ text: 'äöüß' })
    expect(cut.usage.output_tokens).toBe(10)
    const thoughtOnly = await client(standIn).messages.create(ask('long', { max_tokens: 5 }))
    expect(thoughtOnly).toMatchObject({ stop_reason: 'max_tokens', usage: { output_tokens: 5 } })
    expect(thoughtOnly.content).toHaveLength(1)
    const warm = await client(standIn).messages.create(ask('warm', { max_tokens: 0 }))
    expect(warm).toMatchObject({ content: [], usage: { output_tokens: 0 } })
  })

  test('the context window ends an answer that max_tokens would allow', async () => {
    standIn.setReply({ text: 'x'.repeat(400) })
    const prompt = { ...ask('y'.repeat(799_900)), model: 'claude-haiku-4-5' }
    const { stop_reason, usage } = await client(standIn).messages.create(prompt)
    expect(stop_reason).toBe('model_context_window_exceeded')
    expect(usage.input_tokens + usage.output_tokens).toBe(200_000)
  })

  test('the earliest stop sequence ends the text', async () => {
    const stops = ask('a STOP b END c', { stop_sequences: ['END', 'STOP'], ...QUIET })
    expect(await client(standIn).messages.create(stops)).toMatchObject({
      content: [{ text: 'a ' }],
      stop_reason: 'stop_sequence',
      stop_sequence: 'STOP',
    })
  })

  test('replies are canned or computed until reset', async () => {
    standIn.setReply(({ messages }) => `${messages.length} message`)
    expect((await client(standIn).messages.create(ask('x', QUIET))).content).toMatchObject([
      { text: '1 message' },
    ])
    standIn.setReply({ content: [], stopReason: 'pause_turn' })
    const paused = await client(standIn).messages.stream(ask('x')).finalMessage()
    expect(paused).toMatchObject({ content: [], stop_reason: 'pause_turn' })
    const tool = { type: 'tool_use', id: 'toolu_1', name: 'add', input: { a: 1 } }
    standIn.setReply({ content: [tool], stopReason: 'tool_use' })
    const called = await client(standIn).messages.stream(ask('x')).finalMessage()
    expect(called).toMatchObject({ content: [tool], stop_reason: 'tool_use' })
    standIn.reset()
    expect((await client(standIn).messages.create(ask('echo', QUIET))).content).toMatchObject([
      { text: 'echo' },
    ])
  })

  test('a refusal is free before any output and billed after some', async () => {
    standIn.setReply({ refusalCategory: 'cyber' })
    const refused = await client(standIn).messages.create(ask('hack'))
    expect(refused).toMatchObject({
      content: [],
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: 'cyber' },
    })
    expect(refused.usage.input_tokens).toBeGreaterThan(0)
    expect(standIn.billed()).toMatchObject({ calls: 0, inputTokens: 0, outputTokens: 0 })

    standIn.setReply({ refusalCategory: null, text: 'Well, ' })
    const midway = await client(standIn).messages.stream(ask('hack')).finalMessage()
    expect(midway).toMatchObject({ stop_reason: 'refusal', stop_details: { category: null } })
    expect(standIn.billed()).toMatchObject({ calls: 1, outputTokens: midway.usage.output_tokens })
  })
})

describe('remote control', () => {
  const tell = (url: string, path: string, body?: unknown) =>
    fetch(
      `${url}/__stand-in/${path}`,
      body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
    )

  test('is refused unless asked for', async () => {
    expect((await tell(standIn.url, 'journal')).status).toBe(404)
    expect((await tell(standIn.url, 'reset', {})).status).toBe(404)
  })

  test('scripts, replies, reads and resets from outside', async () => {
    const remote = await startClaudeStandIn({ control: true })
    const say = () => client(remote, 'k').messages.create(ask('hi'))
    await tell(remote.url, 'script', [{ kind: 'status', status: 402 }])
    await tell(remote.url, 'reply', { text: 'from afar' })
    await expect(say()).rejects.toMatchObject({ status: 402, type: 'billing_error' })
    expect((await say()).content[1]).toMatchObject({ text: 'from afar' })
    expect(await (await tell(remote.url, 'journal')).json()).toHaveLength(2)
    expect(await (await tell(remote.url, 'billed?key=k')).json()).toMatchObject({ calls: 1 })
    expect((await tell(remote.url, 'script', { kind: 'explode' })).status).toBe(400)
    await tell(remote.url, 'reset', {})
    expect(remote.journal).toEqual([])
    expect(remote.billed().calls).toBe(0)
    await remote.close()
  })
})

test('as a process of its own it prints its address and obeys its flags', async () => {
  const main = fileURLToPath(new URL('./claude-stand-in/main.ts', import.meta.url))
  const flags = ['--port', '0', '--keys', 'k1,k2', '--control']
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...flags])
  const [line] = await once(child.stdout, 'data')
  const url = String(line).trim()
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  await expect(client({ url }, 'k3').models.list()).rejects.toMatchObject({ status: 401 })
  await client({ url }, 'k2').messages.create(ask('hi'))
  const billed = await fetch(`${url}/__stand-in/billed?key=k2`)
  expect(await billed.json()).toMatchObject({ calls: 1 })
  child.kill()
  expect(await once(child, 'exit')).toEqual([0, null])
})
