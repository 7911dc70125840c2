import type Anthropic from '@anthropic-ai/sdk'
import { expect, test } from 'vitest'
import { client, SONNET, standInForTests } from './probe.ts'

let nowMs = Date.UTC(2026, 10, 22)
const standIn = await standInForTests({ now: () => nowMs, chunkSize: 4 })

const system = 'You know a lot. '.repeat(600)
const cached = { system, cache_control: { type: 'ephemeral' as const } }
type Turn = Anthropic.MessageParam

async function send(messages: Turn[], extra: object = {}, key = 'sk-ant-one') {
  const body = { model: SONNET, max_tokens: 100, messages, ...cached, ...extra }
  const { usage } = await client(standIn, key).messages.create(
    body as Anthropic.MessageCreateParamsNonStreaming,
  )
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens } = usage
  return { usage, classes: [input_tokens, cache_creation_input_tokens, cache_read_input_tokens] }
}
const user = (content: string): Turn => ({ role: 'user', content })
const assistant = (content: string): Turn => ({ role: 'assistant', content })

test('three turns of a chat: written, read and extended, read and extended', async () => {
  const chat = [user('a'.repeat(8))]
  expect((await send(chat)).classes).toEqual([3, 2402, 0])
  chat.push(assistant('b'.repeat(40)), user('c'.repeat(12)))
  expect((await send(chat)).classes).toEqual([3, 3 + 10 + 3 + 3, 2402])
  chat.push(assistant('d'.repeat(4)), user('e'.repeat(4)))
  expect((await send(chat)).classes).toEqual([3, 3 + 1 + 3 + 1, 2421])
  expect(standIn.billed()).toMatchObject({
    calls: 3,
    inputTokens: 9,
    cacheCreationInputTokens: 2402 + 19 + 8,
    cacheReadInputTokens: 2402 + 2421,
  })
})

test('without cache_control, or below the minimum length, nothing is cached', async () => {
  expect((await send([user('hi')], { cache_control: null })).classes).toEqual([2404, 0, 0])
  expect((await send([user('hi')], { system: 'short' })).classes).toEqual([6, 0, 0])
  expect((await send([user('hi')])).classes).toEqual([3, 2401, 0])
})

test('another key, model, thinking mode or earlier byte misses', async () => {
  await send([user('hi')])
  const miss = [3, 2401, 0]
  expect((await send([user('hi')], {}, 'sk-ant-two')).classes).toEqual(miss)
  expect((await send([user('hi')], { model: 'claude-sonnet-5' })).classes).toEqual(miss)
  expect((await send([user('hi')], { thinking: { type: 'between_tools' } })).classes).toEqual(miss)
  expect((await send([user('hi')], { output_config: { effort: 'low' } })).classes).toEqual(miss)
  expect((await send([user('hi')], { system: `X${system.slice(1)}` })).classes).toEqual(miss)
  expect((await send([user('hi')])).classes).toEqual([3, 0, 2401])
  const asBlocks = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'hi' }] }]
  expect((await send(asBlocks)).classes).toEqual([3, 0, 2401])
  expect(standIn.billed('sk-ant-two')).toMatchObject({ calls: 1, cacheReadInputTokens: 0 })
})

test('an entry expires after its TTL and a read refreshes it', async () => {
  await send([user('hi')])
  nowMs += 4 * 60_000
  expect((await send([user('hi')])).classes[2]).toBe(2401)
  nowMs += 4 * 60_000
  expect((await send([user('hi')])).classes[2]).toBe(2401)
  nowMs += 5 * 60_000
  expect((await send([user('hi')])).classes[2]).toBe(0)
  const hour = { cache_control: { type: 'ephemeral', ttl: '1h' }, model: 'claude-sonnet-5' }
  const { usage } = await send([user('hi')], hour)
  expect(usage.cache_creation).toEqual({
    ephemeral_5m_input_tokens: 0,
    ephemeral_1h_input_tokens: 2401,
  })
  nowMs += 59 * 60_000
  expect((await send([user('hi')], hour)).classes[2]).toBe(2401)
})

test('a breakpoint finds earlier writes at most 20 blocks back', async () => {
  const text = (n: number) => ({ type: 'text' as const, text: `block ${n}` })
  const blocks = (count: number): Turn[] => [
    { role: 'user', content: Array.from({ length: count }, (_, n) => text(n)) },
  ]
  await send(blocks(5))
  expect((await send(blocks(24))).classes[2]).toBe(2400 + 5 * 2)
  expect((await send(blocks(45))).classes[2]).toBe(0)
})

test('explicit breakpoints split writes by TTL', async () => {
  const mark = (ttl: '5m' | '1h') => ({ cache_control: { type: 'ephemeral' as const, ttl } })
  const blocks = [{ type: 'text' as const, text: system, ...mark('1h') }]
  const content = [{ type: 'text' as const, text: 'hi there', ...mark('5m') }]
  const { usage } = await send([{ role: 'user', content }], {
    system: blocks,
    cache_control: null,
  })
  expect(usage.cache_creation).toEqual({
    ephemeral_5m_input_tokens: 2,
    ephemeral_1h_input_tokens: 2400,
  })
})
