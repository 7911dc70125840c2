import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countBody } from '../../../src/claude/pass-through/count-body.ts'
import { JsonScanner, MAX_DEPTH } from '../../../src/claude/pass-through/json-scanner.ts'
import { readRequest, withMaxTokens } from '../../../src/claude/pass-through/read-request.ts'

const read = (text: string | Buffer) => readRequest(Buffer.from(text as string), 'messages')
const facts = (fields: object) =>
  read(JSON.stringify({ model: 'claude-opus-5-5', max_tokens: 100, messages: [], ...fields }))

const ignoring = { open() {}, close() {}, key() {}, string() {}, scalar() {} }

function isAccepted(text: Buffer, sliceBytes: number): boolean {
  try {
    const scanner = new JsonScanner(text, ignoring)
    while (!scanner.run(sliceBytes));
    return true
  } catch {
    return false
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const SLICES = fc.integer({ min: 1, max: 40 })

test('the body of a count is what can be counted of the call, in its own bytes', async () => {
  const names = fc.constantFrom('system', 'tools', 'tool_choice', 'metadata', 'stop_sequences', 'x')
  const values: Record<string, unknown> = { tools: [], metadata: { user_id: 'a' } }
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(names),
      fc.nat(3),
      fc.string({ unit: 'binary' }),
      fc.nat(4),
      async (chosen, indent, text, place) => {
        const counted = { model: 'm', messages: [{ role: 'user', content: text.toWellFormed() }] }
        const extra = chosen.map((name) => [name, values[name] ?? { text: '}, "' }] as const)
        const members: (readonly [string, unknown])[] = Object.entries({
          ...counted,
          max_tokens: 7,
        })
        members.splice(place, 0, ...extra)
        const body = Buffer.from(`${JSON.stringify(Object.fromEntries(members), null, indent)}\n `)
        const parts = countBody(body, await readRequest(body, 'messages'))
        const taken = extra.filter(([name]) => !['metadata', 'stop_sequences', 'x'].includes(name))
        expect(JSON.parse(Buffer.concat(parts).toString())).toEqual({
          ...counted,
          ...Object.fromEntries(taken),
        })
      },
    ),
  )
})

describe('the scanner', () => {
  test('accepts what JSON.parse accepts, in slices of any size', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), SLICES, fc.nat(3), (text, slice, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent)
        expect(isAccepted(Buffer.from(spaced), slice)).toBe(true)
      }),
    )
  })

  test('and refuses what JSON.parse refuses, in every damaged text', () => {
    const pieces = fc.constantFrom(
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '1',
      '-',
      '0',
      'e',
      '.',
      'u',
      '\n',
      'NaN',
      '',
    )
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 4 }),
        fc.nat(),
        fc.nat(2),
        pieces,
        SLICES,
        (text, at, cut, piece, slice) => {
          const place = at % (text.length + 1)
          const damaged = text.slice(0, place) + piece + text.slice(place + cut)
          expect(isAccepted(Buffer.from(damaged), slice)).toBe(parses(damaged.toWellFormed()))
        },
      ),
      { numRuns: 2000 },
    )
  })

  test.each([
    '',
    ' ',
    '{"a":1,}',
    '[1,]',
    '{"a" 1}',
    '{} {}',
    'NaN',
    'tru',
    '01',
    '1.',
    '1e',
    '-',
    '"\\x"',
    '"\\u12"',
    '"\t"',
    '{a:1}',
    "{'a':1}",
  ])('refuses %j', (text) => {
    expect(isAccepted(Buffer.from(text), 3)).toBe(false)
  })

  test('refuses a byte order mark, bytes that are no UTF-8, and deep nesting', () => {
    expect(isAccepted(Buffer.from('\ufeff{}'), 9)).toBe(false)
    expect(isAccepted(Buffer.from([0x22, 0xff, 0x22]), 9)).toBe(false)
    const nested = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
    expect(isAccepted(nested(MAX_DEPTH), 1000)).toBe(true)
    expect(isAccepted(nested(MAX_DEPTH + 1), 1000)).toBe(false)
  })
})

describe('top-level fields', () => {
  test('are read wherever they stand and however they are written', async () => {
    const text = `{ "messages" : [], "m\\u006fdel":"claude-\\u006fpus-5-5","max\\u005ftokens" : 007`
    await expect(read(`${text}}`)).rejects.toThrow(/not valid JSON/)
    const body = text.replace(
      '007',
      '64000 , "stream":true,"speed":"fast","metadata":{"user_id":"u"}}',
    )
    expect(await read(body)).toMatchObject({
      model: 'claude-opus-5-5',
      maxTokens: { value: 64_000 },
      isStream: true,
      isFast: true,
      endUserId: 'u',
      cacheWrites: 'none',
      textBytes: body.length,
    })
  })

  test.each([
    '{"model":"a","max_tokens":1,"model":"b"}',
    '{"model":"a","max_tokens":1,"max\\u005ftokens":2}',
    '{"model":"a","max_tokens":1,"MAX_TOKENS":2}',
    '{"model":"a","max_tokens":1,"x":1,"x":1}',
  ])('a repeated one is refused: %s', async (body) => {
    await expect(read(body)).rejects.toThrow(/twice/)
  })

  test.each(['1e5', '128000.0', '-1', '"100"', 'null', '[]', '10000000', '1E2', 'true'])(
    'max_tokens may not be %s',
    async (value) => {
      await expect(read(`{"model":"a","max_tokens":${value}}`)).rejects.toThrow(/max_tokens/)
    },
  )

  test('a max_tokens of eight digits is one that no model can write', async () => {
    await expect(read('{"model":"a","max_tokens":10000000}')).rejects.toThrow(/no model can write/)
  })

  test.each([
    ['{"max_tokens":1}', /model/],
    ['{"model":"a"}', /max_tokens/],
    ['{"model":7,"max_tokens":1}', /model/],
    ['{"model":"","max_tokens":1}', /model/],
    ['{"model":"a","max_tokens":1,"stream":"true"}', /stream/],
    ['{"model":"a","max_tokens":1,"speed":1}', /speed/],
    ['{"model":"a","max_tokens":1,"fallbacks":{}}', /fallbacks/],
    ['{"model":"a","max_tokens":1,"tools":{}}', /tools/],
    ['{"model":"a","max_tokens":1,"messages":"x"}', /messages/],
    ['[]', /object/],
    ['{"model":"a","max_tokens":1}{}', /more than one/],
  ])('%s is refused', async (body, words) => {
    await expect(read(body)).rejects.toThrow(words)
  })

  test('names of an object prototype are ordinary fields', async () => {
    await expect(
      read('{"model":"a","max_tokens":1,"constructor":1,"__proto__":2}'),
    ).resolves.toBeDefined()
  })

  test('an endpoint without max_tokens needs none', async () => {
    const body = Buffer.from('{"model":"a","messages":[]}')
    expect(await readRequest(body, 'count_tokens')).toMatchObject({ maxTokens: null })
  })
})

describe('only the digits of max_tokens change', () => {
  test('whatever stands around them', async () => {
    const member = fc.constantFrom(
      '"a":1.50',
      '"b":"\\u00e9\\n"',
      '"c":{"max_tokens":7}',
      '"d":12345678901234567890',
      '"e":[1e2,{}]',
    )
    const space = fc.constantFrom('', ' ', '\n', '\t ')
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(member),
        fc.uniqueArray(member),
        space,
        fc.nat(200_000),
        fc.nat(200_000),
        async (before, after, gap, asked, sent) => {
          const left = [...before, '"model":"m"'].join(`,${gap}`)
          const right = after.filter((one) => !before.includes(one)).map((one) => `,${gap}${one}`)
          const around = (tokens: number) =>
            `{${gap}${left},${gap}"max_tokens"${gap}:${gap}${tokens}${gap}${right.join('')}}`
          const body = Buffer.from(around(asked))
          expect(withMaxTokens(body, await read(body), sent).toString()).toBe(around(sent))
        },
      ),
    )
  })
})

describe('what makes a call dearer', () => {
  const image = (data: string) => ({
    type: 'image',
    source: { type: 'base64', media_type: 'image/png', data },
  })
  const inMessage = (...content: object[]) => ({ messages: [{ role: 'user', content }] })

  test('cache writes: the dearest lifetime, wherever it stands', async () => {
    const marked = (cache_control: unknown) => ({
      system: [{ type: 'text', text: 'x', cache_control }],
    })
    expect(await facts({})).toMatchObject({ cacheWrites: 'none' })
    expect(await facts(marked(null))).toMatchObject({ cacheWrites: 'none' })
    expect(await facts(marked({ type: 'ephemeral' }))).toMatchObject({ cacheWrites: '5m' })
    expect(await facts(marked({ type: 'ephemeral', ttl: '1h' }))).toMatchObject({
      cacheWrites: '1h',
    })
    expect(await facts({ cache_control: { ttl: '1h', type: 'ephemeral' } })).toMatchObject({
      cacheWrites: '1h',
    })
    const twice =
      '{"model":"m","max_tokens":1,"cache_control":{"ttl":"1h","type":"ephemeral","ttl":"5m"}}'
    expect(await read(twice)).toMatchObject({ cacheWrites: '1h' })
  })

  test('images count as images, and their bytes as no text', async () => {
    const data = 'A'.repeat(50_000)
    const found = await facts(inMessage(image(data), image(data)))
    expect(found).toMatchObject({ images: 2, documents: 0 })
    expect(found.textBytes).toBeLessThan(1000)
  })

  test('the same shape in a tool input, a schema or beside another type is text', async () => {
    const data = 'A'.repeat(50_000)
    const inInput = inMessage({ type: 'tool_use', id: 'x', name: 'y', input: image(data) })
    const inSchema = { tools: [{ name: 'y', input_schema: { properties: image(data) } }] }
    for (const one of [inInput, inSchema, { system: [image(data)] }]) {
      const found = await facts(one)
      expect(found.images).toBe(0)
      expect(found.textBytes).toBeGreaterThan(50_000)
    }
    const source = `{"type":"base64","type":"text","media_type":"image/png","data":"${data}"}`
    const found = await read(
      `{"model":"m","max_tokens":1,"messages":[{"content":[{"source":${source}}]}]}`,
    )
    expect(found).toMatchObject({ images: 0, documents: 1 })
    expect(found.textBytes).toBeGreaterThan(50_000)
  })

  test('documents and remote sources', async () => {
    const pdf = {
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' },
    }
    const url = { type: 'image', source: { type: 'url', url: 'https://a.example/x.png' } }
    const file = { type: 'document', source: { type: 'file', file_id: 'file_1' } }
    const upload = { type: 'container_upload', file_id: 'file_2' }
    const result = { type: 'tool_result', tool_use_id: 'x', content: [pdf, url, file, upload] }
    expect(await facts(inMessage(result))).toMatchObject({ documents: 1, remoteSources: 3 })
    const isCountable = async (fields: object) => (await facts(fields)).isCountable
    expect(await isCountable(inMessage(pdf, file))).toBe(true)
    expect(await isCountable(inMessage(pdf, url))).toBe(false)
    expect(await isCountable({ ...inMessage(pdf), fallbacks: ['claude-opus-5'] })).toBe(false)
    const thread = { type: 'continue', previous_message_id: 'msg_1' }
    expect(await facts({ ...inMessage(pdf), thread })).toMatchObject({
      remoteSources: 1,
      isCountable: false,
    })
    const twice = '{"type":"url","type":"file","file_id":"file_1"}'
    const body = `{"model":"m","max_tokens":1,"messages":[{"content":[{"source":${twice}}]}]}`
    expect((await read(body)).isCountable).toBe(false)
  })

  test('tools that Anthropic runs, with the largest of repeated limits', async () => {
    const found = await facts({
      tools: [
        { type: 'web_search_20250305', name: 'web_search', max_uses: 3 },
        { type: 'web_fetch_20250910', name: 'web_fetch', max_content_tokens: 5000 },
        { type: 'bash_20250124', name: 'bash' },
        {
          name: 'mine',
          input_schema: { type: 'object', properties: { max_uses: { type: 'integer' } } },
        },
        { type: 'advisor_20260301', name: 'advisor', model: 'claude-fable-5-2' },
      ],
      mcp_servers: [{ type: 'url', url: 'https://a.example' }],
    })
    expect(found.serverTools).toEqual([
      { kind: 'web_search', maxUses: 3, maxContentTokens: null },
      { kind: 'web_fetch', maxUses: null, maxContentTokens: 5000 },
      { kind: 'advisor', maxUses: null, maxContentTokens: null },
      { kind: 'mcp', maxUses: null, maxContentTokens: null },
    ])
    expect(found.otherModels).toEqual(['claude-fable-5-2'])
    const twice =
      '{"model":"m","max_tokens":1,"tools":[{"max_uses":9,"type":"web_search_20250305","max_uses":2}]}'
    expect((await read(twice)).serverTools).toEqual([
      { kind: 'web_search', maxUses: 9, maxContentTokens: null },
    ])
  })

  test('a search among tools, which reads the prompt again; its results are text', async () => {
    const named = (type: string) => ({ tools: [{ type, name: 'search' }] })
    const search = { kind: 'tool_search', maxUses: null, maxContentTokens: null }
    for (const type of ['tool_search_tool_regex', 'tool_search_tool_bm25_20251119']) {
      expect((await facts(named(type))).serverTools).toEqual([search])
    }
    const result = { type: 'tool_search_tool_result', tool_use_id: 'x', content: [] }
    expect((await facts(inMessage(result))).serverTools).toEqual([])
  })

  test('what a fallback asks for itself: length, speed and thinking', async () => {
    const fallback = (fields: object) =>
      facts({ fallbacks: [{ model: 'claude-opus-5' }, { model: 'claude-opus-4-8', ...fields }] })
    expect(await fallback({})).toMatchObject({
      isFast: false,
      fallbackMaxTokens: null,
      hasOpenFallbacks: false,
    })
    expect(await fallback({ max_tokens: 64_000, speed: 'fast' })).toMatchObject({
      maxTokens: { value: 100 },
      fallbackMaxTokens: 64_000,
      isFast: true,
      otherModels: ['claude-opus-5', 'claude-opus-4-8'],
    })
    const thinking = { type: 'enabled', budget_tokens: 20_000 }
    expect(await fallback({ thinking, speed: 'standard', max_tokens: null })).toMatchObject({
      thinkingBudgetTokens: 20_000,
      fallbackMaxTokens: null,
      isFast: false,
    })
    const twice = '"fallbacks":[{"max_tokens":9,"speed":"fast","max_tokens":5,"speed":"standard"}]'
    expect(await read(`{"model":"m","max_tokens":1,${twice}}`)).toMatchObject({
      fallbackMaxTokens: 9,
      isFast: true,
    })
    await expect(fallback({ max_tokens: '64000' })).rejects.toThrow(/fallback.*max_tokens/)
  })

  test('fallbacks that Anthropic chooses', async () => {
    expect(await facts({ fallbacks: 'default' })).toMatchObject({
      hasOpenFallbacks: true,
      isCountable: false,
    })
  })

  test('an advisor writes its own prompt to the cache', async () => {
    const advisor = { type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-5-5' }
    const caching = (ttl: string) => ({ tools: [{ ...advisor, caching: { type: 'x', ttl } }] })
    expect(await facts(caching('5m'))).toMatchObject({ cacheWrites: '5m' })
    expect(await facts(caching('1h'))).toMatchObject({ cacheWrites: '1h' })
  })

  test('fallbacks and the budget of thinking', async () => {
    const found = await facts({
      fallbacks: [{ model: 'claude-fable-5-2' }, 'claude-opus-5'],
      thinking: { type: 'enabled', budget_tokens: 20_000 },
    })
    expect(found.otherModels).toEqual(['claude-fable-5-2', 'claude-opus-5'])
    expect(found.thinkingBudgetTokens).toBe(20_000)
  })
})

describe('a list that would take more memory than its body', () => {
  const numbered = (make: (index: number) => string) =>
    Array.from({ length: 20_000 }, (_, index) => make(index)).join()
  const withField = (field: string) => read(`{"model":"m","max_tokens":1,${field}}`)

  test.each([
    ['top-level fields', numbered((index) => `"f${index}":0`)],
    ['models', `"fallbacks":[${numbered((index) => `"m${index}"`)}]`],
    ['models', `"fallbacks":[${numbered((index) => `{"model":"m${index}"}`)}]`],
    ['models', `"fallbacks":[{${numbered((index) => `"model":"m${index}"`)}}]`],
    ['tools', `"tools":[${numbered(() => '{"type":"web_search_20250305"}')}]`],
  ])('is refused: %s', async (what, field) => {
    await expect(withField(field)).rejects.toThrow(new RegExp(`more than \\d+ ${what}`))
  })

  test('is no list of one model, named again and again', async () => {
    const found = await withField(`"fallbacks":[${numbered(() => '"a"')}]`)
    expect(found.otherModels).toEqual(['a'])
  })
})

test('a body of 32 MB leaves the event loop free meanwhile', async () => {
  const text = 'A'.repeat(32 * 1024 * 1024)
  let rounds = 0
  const count = () => {
    rounds += 1
    if (!isDone) setImmediate(count)
  }
  let isDone = false
  const reading = facts({ messages: [{ role: 'user', content: text }] })
  count()
  await reading
  isDone = true
  expect(rounds).toBeGreaterThan(30)
})
