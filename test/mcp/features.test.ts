/** Prompts, templates of resources and completion: what the bindings of both eras make of them. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { AppError } from '../../src/errors.ts'
import { definePrompt } from '../../src/mcp/definitions/prompt.ts'
import { defineResourceTemplate } from '../../src/mcp/definitions/resource.ts'
import { GATEWAY_FEATURES } from '../../src/mcp/features.ts'
import { personalToken, signUp } from '../support/signed-up.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { post } from './raw-call.ts'

const NOTES = new Map([
  ['a1', '# First'],
  ['a2', '# Second'],
  ['ä/ö', '# Odd'],
])

const notes = defineResourceTemplate({
  uriTemplate: 'test://notes/{id}',
  name: 'note',
  title: 'Note',
  description: 'A note.',
  mimeType: 'text/markdown',
  scope: 'conversations:read',
  complete: { id: async (typed) => [...NOTES.keys()].filter((id) => id.startsWith(typed)) },
  async read({ id = '' }) {
    if (id === 'broken') throw new AppError('storage_full', 'No room.')
    const text = NOTES.get(id)
    return text === undefined ? undefined : { text }
  },
})

const summary = definePrompt({
  name: 'summarise_note',
  title: 'Summarise a note',
  description: 'Uses get_usage.',
  scope: 'conversations:read',
  input: z.strictObject({
    id: z.string().describe('Which note.'),
    length: z.string().optional().describe('How long.'),
  }),
  complete: {
    id: async (typed, { given }) =>
      Array.from({ length: 150 }, (_, i) => `${typed}${given.length ?? ''}${i}`),
  },
  messages: async ({ id, length = 'short' }, { caller, worded }) => [
    { role: 'user', content: { type: 'text', text: `${id} ${length} ${caller.username}` } },
    { role: 'assistant', content: { type: 'text', text: worded('health_check') } },
  ],
})

const features = { ...GATEWAY_FEATURES, resourceTemplates: [notes], prompts: [summary] }

describe.each(eras)('%s era', (era) => {
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    app = await startApp({ kind: 'embedded', features })
    user = await app.register()
  })
  afterAll(() => app.close())

  const signedIn = async () => (await app.connect(era, user.accessToken)).raw
  const errorOf = async (work: Promise<unknown>) =>
    work.then(
      () => expect.unreachable(),
      ({ code, message }) => ({
        code,
        message: String(message).replace(/^MCP error -\d+: /, ''),
      }),
    )

  test('what is served is declared', async () => {
    const raw = await signedIn()
    expect(raw.getServerCapabilities()).toEqual({
      tools: {},
      resources: {},
      prompts: {},
      completions: {},
    })
  })

  test('a template is listed without its scope, and read by any URI that fits', async () => {
    const raw = await signedIn()
    const { resourceTemplates } = await raw.listResourceTemplates()
    expect(resourceTemplates).toEqual([
      {
        uriTemplate: 'test://notes/{id}',
        name: 'note',
        title: 'Note',
        description: 'A note.',
        mimeType: 'text/markdown',
      },
    ])
    const uri = 'test://notes/a2'
    const { contents } = await raw.readResource({ uri })
    expect(contents).toEqual([{ uri, mimeType: 'text/markdown', text: '# Second' }])
  })

  test('variables arrive decoded', async () => {
    const raw = await signedIn()
    const uri = `test://notes/${encodeURIComponent('ä/ö')}`
    const { contents } = await raw.readResource({ uri })
    expect(contents).toEqual([{ uri, mimeType: 'text/markdown', text: '# Odd' }])
  })

  test.each(['test://notes/none', 'test://notes/a/b', 'test://notes/%zz', 'test://other/a1'])(
    '%s is no resource',
    async (uri) => {
      const raw = await signedIn()
      const code = era === 'modern' ? -32602 : -32002
      expect(await errorOf(raw.readResource({ uri }))).toMatchObject({ code })
    },
  )

  test('a failure says what it is', async () => {
    const raw = await signedIn()
    const failure = await errorOf(raw.readResource({ uri: 'test://notes/broken' }))
    expect(failure).toEqual({ code: -32000, message: 'No room.' })
  })

  test('a prompt is listed with its arguments, in the names that the client sees', async () => {
    const raw = await signedIn()
    expect((await raw.listPrompts()).prompts).toEqual([
      {
        name: 'summarise_note',
        title: 'Summarise a note',
        description: 'Uses claude-api-gateway_get_usage.',
        arguments: [
          { name: 'id', description: 'Which note.', required: true },
          { name: 'length', description: 'How long.', required: false },
        ],
      },
    ])
  })

  test('a prompt is made for its caller', async () => {
    const raw = await signedIn()
    const { description, messages } = await raw.getPrompt({
      name: 'summarise_note',
      arguments: { id: 'a1' },
    })
    expect(description).toBe('Uses claude-api-gateway_get_usage.')
    expect(messages).toEqual([
      { role: 'user', content: { type: 'text', text: `a1 short ${user.username}` } },
      { role: 'assistant', content: { type: 'text', text: 'claude-api-gateway_health_check' } },
    ])
  })

  test.each([
    ['fly', {}, 'Unknown prompt: fly'],
    ['summarise_note', {}, 'Invalid arguments of prompt summarise_note: id is missing.'],
    [
      'summarise_note',
      { id: 'a', size: 'b' },
      'Invalid arguments of prompt summarise_note: size is unknown.',
    ],
  ])('prompt %s of %o is refused in words', async (name, args, message) => {
    const raw = await signedIn()
    const failure = await errorOf(raw.getPrompt({ name, arguments: args }))
    expect(failure).toEqual({ code: -32602, message })
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['prompts/get', { name: 7 }, 'params.name must be text'],
    ['prompts/get', { name: 'x', arguments: { a: 1 } }, 'params.arguments.a must be text'],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'x' } }, 'params.argument is'],
    ['prompts/list', { cursor: 1 }, 'params.cursor must be text'],
  ])('%s of %o names the parameter', async (method, params, words) => {
    const headers = { Authorization: `Bearer ${user.accessToken}` }
    const response = await post(app.mcpUrl, era, method, params, { headers })
    expect(await response.text()).toContain(`Invalid params: ${words}`)
  })

  const complete = async (ref: object, argument: { name: string; value: string }, more = {}) => {
    const raw = await signedIn()
    const params = { ref, argument, ...more } as Parameters<typeof raw.complete>[0]
    return (await raw.complete(params)).completion
  }

  test('values are completed, a hundred at most, by what was chosen before', async () => {
    const template = { type: 'ref/resource', uri: 'test://notes/{id}' }
    expect(await complete(template, { name: 'id', value: 'a' })).toEqual({
      values: ['a1', 'a2'],
      hasMore: false,
    })
    const prompt = { type: 'ref/prompt', name: 'summarise_note' }
    const context = { arguments: { length: 'L' } }
    const { values, hasMore } = await complete(prompt, { name: 'id', value: 'x' }, { context })
    expect([values.length, values[0], hasMore]).toEqual([100, 'xL0', true])
    expect((await complete(prompt, { name: 'length', value: '' })).values).toEqual([])
  })

  test('what does not exist is not completed', async () => {
    const ref = { type: 'ref/prompt', name: 'fly' }
    const failure = await errorOf(complete(ref, { name: 'id', value: '' }))
    expect(failure.code).toBe(-32602)
  })

  const USES: [string, Record<string, unknown>][] = [
    ['resources/read', { uri: 'test://notes/a1' }],
    ['prompts/get', { name: 'summarise_note', arguments: { id: 'a1' } }],
    [
      'completion/complete',
      { ref: { type: 'ref/prompt', name: 'summarise_note' }, argument: { name: 'id', value: '' } },
    ],
  ]

  test.each(USES)('%s needs a caller with the scope', async (method, params) => {
    expect((await post(app.url, era, method, params)).status).toBe(401)
    const { caller } = await signUp(app)
    const { token } = await personalToken(app, caller, ['usage:read'])
    const headers = { Authorization: `Bearer ${token}` }
    const response = await post(app.mcpUrl, era, method, params, { headers })
    expect([response.status, response.headers.get('www-authenticate')]).toEqual([
      403,
      expect.stringContaining('conversations:read'),
    ])
    const { raw } = await app.connect(era, token)
    expect((await raw.listPrompts()).prompts).toEqual([])
    expect((await raw.listResourceTemplates()).resourceTemplates).toEqual([])
  })
})

test('a gateway without prompts does not know their methods', async () => {
  const without = { ...GATEWAY_FEATURES, prompts: [] }
  const app = await startApp({ kind: 'embedded', features: without })
  const { accessToken } = await app.register()
  const headers = { Authorization: `Bearer ${accessToken}` }
  for (const era of eras) {
    const response = await post(app.mcpUrl, era, 'prompts/get', { name: 7 }, { headers })
    expect(await response.text()).toContain('-32601')
  }
  await app.close()
})
