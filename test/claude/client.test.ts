import { expect, test, vi } from 'vitest'
import { KEY, requestFor, useClaude } from './asking.ts'

const claude = useClaude({ chunkSize: 5 })

test('an answer comes back whole, with what it cost', async () => {
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({
    status: 'complete',
    text: 'Hello there, Claude.',
    content: [{ type: 'text', text: 'Hello there, Claude.' }],
    stopReason: 'end_turn',
    stopSequence: null,
    refusalCategory: null,
    usageEstimated: null,
    model: 'claude-sonnet-5-5',
    error: null,
    warnings: [],
  })
  expect(outcome.requestId).toMatch(/^req_/)
  const billed = claude.standIn.billed(KEY)
  expect(outcome.usage).toMatchObject({
    inputTokens: billed.inputTokens,
    outputTokens: billed.outputTokens,
    thinkingTokens: 0,
  })
})

test('the request goes out as it was built', async () => {
  const request = requestFor({ system: 'Be brief.', stopSequences: ['END'] })
  await claude.connect().answer(KEY, request, { signal: new AbortController().signal })
  const [sent] = claude.standIn.messageRequests()
  expect(sent?.json).toEqual(request.body)
  expect(sent?.headers).toMatchObject({
    authorization: `Bearer ${KEY}`,
    'anthropic-version': '2026-10-21',
  })
})

test('text is reported as it grows', async () => {
  const heard: string[] = []
  await claude.connect().answer(KEY, requestFor(), {
    signal: new AbortController().signal,
    onText: (text) => heard.push(text),
  })
  expect(heard).toEqual(['Hello', 'Hello ther', 'Hello there, Cl', 'Hello there, Claude.'])
})

test('thinking is kept with its signature, and apart from the text', async () => {
  const outcome = await claude.ask({ thinking: 'adaptive' })
  expect(outcome.content).toEqual([
    { type: 'thinking', thinking: '', signature: expect.stringMatching(/./) },
    { type: 'text', text: 'Hello there, Claude.', citations: null },
  ])
  expect(outcome.text).toBe('Hello there, Claude.')
  expect(outcome.usage?.thinkingTokens).toBeGreaterThan(0)
  expect(outcome.usage?.outputTokens).toBe(claude.standIn.billed(KEY).outputTokens)
})

test('a stored answer can be replayed, and is then read from the cache', async () => {
  const long = 'All work and no play makes Jack a dull boy. '.repeat(400)
  const turn = (role: 'user' | 'assistant', text: string) => ({
    role,
    content: [{ type: 'text', text }],
  })
  const model = 'claude-sonnet-4-6'
  const history = [turn('user', long), turn('assistant', 'Indeed.')]
  const first = await claude.ask({ model, history, message: 'Why?' })
  const answered = [...history, turn('user', 'Why?'), { ...first, role: 'assistant' as const }]
  const second = await claude.ask({ model, history: answered, message: 'And then?' })

  expect(first.usage?.cacheWrite5mTokens).toBeGreaterThan(1024)
  expect(first.usage?.cacheReadTokens).toBe(0)
  expect(second.usage?.cacheReadTokens).toBe(first.usage?.cacheWrite5mTokens)
  const { inputTokens, cacheCreationInputTokens } = claude.standIn.billed(KEY)
  expect((first.usage?.inputTokens ?? 0) + (second.usage?.inputTokens ?? 0)).toBe(inputTokens)
  expect((first.usage?.cacheWrite5mTokens ?? 0) + (second.usage?.cacheWrite5mTokens ?? 0)).toBe(
    cacheCreationInputTokens,
  )
})

test('an answer cut by max_tokens is complete, and says why it ended', async () => {
  const outcome = await claude.ask({ message: 'word '.repeat(200), maxTokens: 10 })
  expect(outcome).toMatchObject({ status: 'complete', stopReason: 'max_tokens' })
  expect(outcome.usage?.outputTokens).toBe(10)
})

test('an answer may be used up by thinking alone', async () => {
  const outcome = await claude.ask({ model: 'claude-opus-5-5', maxTokens: 1 })
  expect(outcome).toMatchObject({ status: 'complete', stopReason: 'max_tokens', text: '' })
})

test('a stop sequence is named', async () => {
  const outcome = await claude.ask({ message: 'one two three', stopSequences: ['two'] })
  expect(outcome).toMatchObject({
    status: 'complete',
    text: 'one ',
    stopReason: 'stop_sequence',
    stopSequence: 'two',
  })
})

test.each(['pause_turn', 'model_context_window_exceeded', 'tool_use', 'some_new_reason'])(
  'stop reason %s is passed on',
  async (stopReason) => {
    claude.standIn.setReply({ text: 'So far.', stopReason })
    expect(await claude.ask()).toMatchObject({ status: 'complete', text: 'So far.', stopReason })
  },
)

test('an empty answer is complete and has no text', async () => {
  claude.standIn.setReply({ text: '' })
  expect(await claude.ask()).toMatchObject({ status: 'complete', content: [], text: '' })
})

test('a refusal before any output costs nothing', async () => {
  claude.standIn.setReply({ refusalCategory: 'cyber' })
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({
    status: 'refused',
    stopReason: 'refusal',
    refusalCategory: 'cyber',
    usage: null,
    usageEstimated: null,
    error: null,
  })
  expect(claude.standIn.billed(KEY).calls).toBe(0)
})

test('a refusal in the middle is billed', async () => {
  claude.standIn.setReply({ text: 'First you', refusalCategory: null })
  const outcome = await claude.ask()
  expect(outcome).toMatchObject({ status: 'refused', refusalCategory: null })
  expect(outcome.usage?.outputTokens).toBe(claude.standIn.billed(KEY).outputTokens)
})

test('a deprecated model makes no noise', async () => {
  const warn = vi.spyOn(console, 'warn')
  expect(await claude.ask({ model: 'claude-sonnet-4-5' })).toMatchObject({ status: 'complete' })
  expect(warn).not.toHaveBeenCalled()
  warn.mockRestore()
})

test('a key that Anthropic accepts is proven', async () => {
  await claude.connect().proveKey(KEY)
  expect(claude.standIn.journal.map(({ path, key }) => [path, key])).toEqual([
    ['/v1/models?limit=1', KEY],
  ])
})

test('calls beyond the connection limit wait their turn', async () => {
  const client = claude.connect({ maxConnections: 2 })
  const ask = () => client.answer(KEY, requestFor(), { signal: new AbortController().signal })
  const outcomes = await Promise.all(Array.from({ length: 12 }, ask))
  expect(outcomes.map(({ status }) => status)).toEqual(Array(12).fill('complete'))
})

test('what was last seen of Anthropic is remembered', async () => {
  const client = claude.connect()
  expect(client.lastSeen()).toEqual({ status: 'unknown', at: null })
  await client.proveKey(KEY)
  expect(client.lastSeen()).toEqual({ status: 'reachable', at: expect.any(Date) })
})
