import { type ClientRequest, request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inPieces, sample } from '../services/imports/reading.ts'
import { zipOf } from '../services/imports/zip.ts'
import { describeDatabases } from '../support/databases.ts'
import { personalToken, type SignedUp, signUp } from '../support/signed-up.ts'
import { startApp, type TestApp } from '../support/start-app.ts'

describeDatabases('PUT /account/import', (kind) => {
  let app: TestApp
  let user: SignedUp
  let token: string
  beforeAll(async () => {
    app = await startApp({ kind, env: { IMPORT_MAX_MIB: '1' } })
    user = await signUp(app)
    token = (await personalToken(app, user.caller, ['conversations:write'])).token
  })
  afterAll(() => app.close())

  const put = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
    fetch(`${app.baseUrl}/account/import`, {
      method: 'PUT',
      body,
      headers: { Authorization: `Bearer ${token}`, ...headers },
    })

  test.each([
    ['the JSON', () => sample('chatgpt.json'), 'application/x-www-form-urlencoded'],
    [
      'the zip',
      () => zipOf([{ name: 'conversations.json', content: sample('chatgpt.json') }]),
      'application/zip',
    ],
  ])('takes %s as it is, with the type that curl gives it', async (_, file, type) => {
    const stranger = await signUp(app)
    const { token: own } = await personalToken(app, stranger.caller, ['conversations:write'])
    const headers = { 'content-type': type, Authorization: `Bearer ${own}` }
    const answer = await put(new Uint8Array(file()), headers)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toEqual({
      success: true,
      found: 4,
      imported: 3,
      replaced: 0,
      branched: 0,
      already: 0,
      skipped: [{ ref: 'c0ffee00-0000-4000-8000-000000000004', reason: 'unknown_format' }],
      skipped_in_all: 1,
      branches_left_out: expect.any(Number),
      blocks_unknown: { image_asset_pointer: 1, tool_use: 1, tool_result: 1, tether_quote: 1 },
    })
  })

  test('without the header it is said that there is none', async () => {
    const answer = await fetch(`${app.baseUrl}/account/import`, { method: 'PUT', body: '[]' })
    expect(answer.status).toBe(401)
    expect(await answer.text()).toContain('This request has no Authorization header')
  })

  test.each([
    ['no token', async () => '', 401, 'unauthenticated'],
    ['a wrong token', async () => `Bearer ${token}x`, 401, 'unauthenticated'],
    [
      'a token that may not change conversations',
      async () =>
        `Bearer ${(await personalToken(app, user.caller, ['conversations:read'], 'a reader')).token}`,
      403,
      'insufficient_scope',
    ],
  ])('%s is refused as JSON', async (_, authorization, status, code) => {
    const answer = await put('[]', { Authorization: await authorization(), Accept: 'text/html' })
    expect(answer.status).toBe(status)
    expect(answer.headers.has('www-authenticate')).toBe(status === 401)
    expect(await answer.json()).toMatchObject({ success: false, error: { code } })
  })

  test.each([
    ['no JSON', 'hello', {}, 400, 'invalid_input'],
    ['a compressed body', '[]', { 'content-encoding': 'gzip' }, 400, 'invalid_input'],
    ['more than IMPORT_MAX_MIB', ' '.repeat(1024 * 1024 + 1), {}, 413, 'request_too_large'],
  ])('%s is refused', async (_, body, headers, status, code) => {
    const answer = await put(body, headers as Record<string, string>)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ success: false, error: { code } })
  })

  test('no text of a conversation is in the log', async () => {
    const canary = 'canary-in-an-import'
    const text = JSON.stringify([
      { uuid: canary, name: canary, chat_messages: [{ sender: 'human', text: canary }] },
      {
        uuid: canary,
        chat_messages: [{ sender: 'human', text: canary, content: [{ type: canary }] }],
      },
    ])
    expect((await put(text)).status).toBe(200)
    await put(`${text}]`)
    expect(app.logLines.join('')).not.toContain(canary)
    expect(app.logLines.filter((line) => line.includes('"route":"/account/import"'))).not.toEqual(
      [],
    )
  })

  test('a client that goes away in the middle leaves room for its next import', async () => {
    let asked: ClientRequest | undefined
    const ask = () => {
      const headers = { Authorization: `Bearer ${token}` }
      asked = request(`${app.baseUrl}/account/import`, { method: 'PUT', headers })
      asked.on('error', () => {})
      // Only a refusal is answered before the body ends: another import was first.
      asked.on('response', ask)
      asked.write('[{"uuid":"a",')
    }
    ask()
    const busy = async () => (await put('[]')).status
    await expect.poll(busy).toBe(429)
    asked?.destroy()
    await expect.poll(busy).toBe(200)
  })

  test('a body in pieces of any size is read', async () => {
    const stream = ReadableStream.from(inPieces(sample('claude-ai.json'), 1000))
    const answer = await fetch(`${app.baseUrl}/account/import`, {
      method: 'PUT',
      body: stream as ReadableStream<Uint8Array>,
      headers: { Authorization: `Bearer ${token}` },
      duplex: 'half',
    } as RequestInit)
    expect(await answer.json()).toMatchObject({ found: 4, imported: 2 })
  })
})
