/** What the exports of claude.ai, of ChatGPT and of a gateway become. */

import { describe, expect, test } from 'vitest'
import { draftOf, inPieces, readAll, readValue, said, sample } from './reading.ts'

describe('claude.ai', () => {
  const read = async () => readAll(inPieces(sample('claude-ai.json')))

  test('text blocks win over the old field, which is taken where they have nothing', async () => {
    const { found } = await read()
    expect(said(draftOf(found[0]))).toEqual([
      [
        'user',
        'How does an engine work?\n\n## attachment: notes.txt\n\nA piston moves.\n\n[file: photo.png]',
      ],
      [
        'assistant',
        'It burns fuel.\n\n[tool use: web_search]\n\n[tool result: web_search]\n\n[flux capacitor]\n\nThen it turns.',
      ],
      ['user', 'Only in the old field\n\nand a second one'],
      ['assistant', '[tool use: artifacts]'],
    ])
  })

  test('blocks that became markers are counted by their types', async () => {
    const { blocks } = await read()
    expect(blocks).toEqual({ file: 1, tool_use: 2, tool_result: 1, flux_capacitor: 1 })
  })

  test('keeps id, name and times', async () => {
    const draft = draftOf((await read()).found[0])
    expect(draft).toMatchObject({
      source: 'claude.ai',
      sourceId: '11111111-1111-4111-8111-111111111111',
      title: 'Engines',
      createdAt: new Date('2025-05-01T10:00:01.123Z'),
      updatedAt: new Date('2025-05-01T10:05:00Z'),
    })
  })

  test('an opening answer gets a question, and a last question an interrupted answer', async () => {
    const draft = draftOf((await read()).found[1])
    expect(said(draft)).toEqual([
      ['user', '(conversation began with an answer)'],
      ['assistant', 'Hello, I begin.'],
      ['user', 'Nobody answered this'],
      ['assistant', ''],
    ])
    expect(draft.messages.map(({ status }) => status)).toEqual([
      'complete',
      'complete',
      'interrupted',
      'interrupted',
    ])
    expect(draft.title).toBe('(conversation began with an answer)')
  })

  test('conversations without text are skipped, by their ids', async () => {
    const { found } = await read()
    expect(found.slice(2)).toEqual([
      { ref: '33333333-3333-4333-8333-333333333333', reason: 'empty' },
      { ref: '44444444-4444-4444-8444-444444444444', reason: 'empty' },
    ])
  })
})

describe('ChatGPT', () => {
  const read = async () => readAll(inPieces(sample('chatgpt.json')))

  test('the path to the current node is taken, without what is hidden or thought', async () => {
    const draft = draftOf((await read()).found[0])
    expect(said(draft)).toEqual([
      ['user', '[image asset pointer]\n\nWhat is this?'],
      ['assistant', '[tool use: python]\n\n[tool result: python]\n\nRust on iron.'],
    ])
    expect(draft).toMatchObject({
      source: 'chatgpt',
      sourceId: 'c0ffee00-0000-4000-8000-000000000001',
      title: 'Rust',
      createdAt: new Date(1746093601000),
      updatedAt: new Date(1746094000500),
    })
  })

  test('a circle of parents ends', async () => {
    const draft = draftOf((await read()).found[1])
    expect(said(draft)).toEqual([
      ['user', 'Round and round'],
      ['assistant', 'in a circle'],
    ])
    expect(draft.title).toBe('Round and round')
  })

  test('a missing parent ends the path, and a missing current node is the last leaf', async () => {
    const draft = draftOf((await read()).found[2])
    expect(said(draft)).toEqual([
      ['user', 'Still here'],
      ['assistant', '[tether quote]'],
    ])
  })

  test('a conversation without a mapping is of an unknown format', async () => {
    expect((await read()).found[3]).toEqual({
      ref: 'c0ffee00-0000-4000-8000-000000000004',
      reason: 'unknown_format',
    })
  })
})

describe('odd values', () => {
  const conversation = (message: object, more: object = {}) => ({
    uuid: 'odd',
    chat_messages: [{ sender: 'human', text: 'hi', ...message }],
    ...more,
  })
  const readOne = async (value: object) => draftOf((await readValue([value])).found)

  test.each([
    ['NUL', 'a\0b', 'a\ufffdb'],
    ['a lone surrogate', 'a\ud800b', 'a\ufffdb'],
  ])('%s is replaced in texts', async (_, given, stored) => {
    const draft = await readOne(conversation({ text: given }, { name: given }))
    expect(said(draft)[0]).toEqual(['user', stored])
    expect(draft.title).toBe(stored)
  })

  test.each(['0000-01-01T00:00:00Z', '9999-12-31T23:59:59Z', 'yesterday', 1e300, -1, null, {}])(
    'a time of %j is not believed',
    async (created_at) => {
      const began = '2025-01-01T00:00:00Z'
      const draft = await readOne(
        conversation({ created_at }, { created_at: began, updated_at: created_at }),
      )
      expect(draft.messages[0]?.createdAt).toEqual(new Date(began))
      expect(draft.updatedAt).toEqual(new Date(began))
    },
  )

  test('times never go back', async () => {
    const at = (day: number) => ({ created_at: `2025-01-0${day}T00:00:00Z` })
    const draft = await readOne({
      uuid: 'odd',
      ...at(2),
      chat_messages: [
        { sender: 'human', text: 'a', ...at(3) },
        { sender: 'assistant', text: 'b', ...at(1) },
      ],
    })
    expect(draft.messages.map(({ createdAt }) => createdAt)).toEqual([
      new Date('2025-01-03T00:00:00Z'),
      new Date('2025-01-03T00:00:00Z'),
    ])
  })

  test('the name __proto__ changes nothing', async () => {
    const json = `[{"__proto__":{"chat_messages":[]},"uuid":"odd","mapping":{"__proto__":{"message":{"author":{"role":"user"},"content":{"content_type":"text","parts":["hi"]}}}},"current_node":"__proto__"}]`
    const { found } = await readAll(inPieces(Buffer.from(json)))
    expect(said(draftOf(found[0]))[0]).toEqual(['user', 'hi'])
    expect(Object.hasOwn(Object.prototype, 'chat_messages')).toBe(false)
  })

  test.each([
    ['numbers', [1, 2]],
    ['nothing', [null]],
    ['lists', [[]]],
    ['texts', ['text']],
  ])('%s for messages are left out', async (_, chat_messages) => {
    const { found } = await readValue([{ uuid: 'odd', chat_messages }])
    expect(found).toEqual({ ref: 'odd', reason: 'empty' })
  })

  test('a conversation without an id has the same one whenever it is read', async () => {
    const ids = await Promise.all(
      ['a', 'a', 'b'].map(async (text) => {
        return (await readOne({ chat_messages: [{ sender: 'human', text }] })).sourceId
      }),
    )
    expect(ids[0]).toBe(ids[1])
    expect(ids[0]).not.toBe(ids[2])
  })

  test('a message of more than 4 MiB, and more than 10,000 messages, are not taken', async () => {
    const long = await readValue([conversation({ text: 'x'.repeat(4 * 1024 * 1024 + 1) })])
    expect(long.found).toEqual({ ref: 'odd', reason: 'message_too_large' })
    const chat_messages = Array.from({ length: 10_001 }, (_, index) => ({
      sender: index % 2 === 0 ? 'human' : 'assistant',
      text: 'x',
    }))
    const many = await readValue([{ uuid: 'odd', chat_messages }])
    expect(many.found).toEqual({ ref: 'odd', reason: 'too_many_messages' })
  })
})

describe('our own', () => {
  const document = {
    format: 'claude-api-gateway/conversation',
    version: 1,
    conversation: {
      id: '0190a000-0000-7000-8000-000000000001',
      title: 'Engines',
      system_prompt: 'Be brief.',
      model: 'claude-sonnet-5-5',
      created_at: '2026-01-02T03:04:05.678Z',
      updated_at: '2026-01-02T03:04:06.678Z',
    },
    messages: ['user', 'assistant', 'user', 'assistant'].map((role, index) => ({
      id: `0190a000-0000-7000-8000-00000000001${index}`,
      role,
      status: index < 2 ? 'complete' : 'failed',
      content: index === 3 ? [] : [{ type: 'text', text: `text ${index}` }],
      model: 'claude-sonnet-5-5',
      created_at: `2026-01-02T03:04:05.67${index}Z`,
    })),
  }
  const change = (content: unknown) => ({
    ...document,
    messages: [{ ...document.messages[0], content }],
  })

  test('keeps turns as they ended, also those without an answer', async () => {
    const draft = draftOf((await readValue(document)).found)
    expect(draft.messages.map(({ status, content }) => [status, content.length])).toEqual([
      ['complete', 1],
      ['complete', 1],
      ['failed', 1],
      ['failed', 0],
    ])
    expect(draft).toMatchObject({ title: 'Engines', systemPrompt: 'Be brief.', source: 'gateway' })
  })

  test('of other blocks than text and thinking a marker is kept, so that none is sent', async () => {
    const image = { type: 'image', source: { type: 'url', url: 'https://example.com/x.png' } }
    const cached = { type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }
    const thought = { type: 'thinking', thinking: 'hm', signature: 'c2ln', more: 1 }
    const { found, blocks } = await readValue(change([image, cached, thought]))
    expect(draftOf(found).messages[0]?.content).toEqual([
      { type: 'text', text: '[image]' },
      { type: 'text', text: 'hi' },
      { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
    ])
    expect(blocks).toEqual({ image: 1 })
  })

  test.each([
    ['of a later version', { ...document, version: 2 }, 'unknown_version'],
    [
      'with a wrong role',
      { ...document, messages: [{ ...document.messages[0], role: 'system' }] },
      'malformed',
    ],
    ['with blocks that are none', change([1]), 'malformed'],
    ['without a conversation', { ...document, conversation: undefined }, 'malformed'],
    ['without messages', { ...document, messages: [] }, 'empty'],
  ])('%s it is skipped', async (_, given, reason) => {
    expect((await readValue(given)).found).toMatchObject({ reason })
  })
})
