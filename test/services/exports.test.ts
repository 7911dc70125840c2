import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Caller } from '../../src/services/sessions.ts'
import { describeDatabases } from '../support/databases.ts'
import { personalToken } from '../support/signed-up.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../support/start-app.ts'

/** More than one page of any kind takes: 4 MiB of messages are the smallest. */
const LONG = 'x'.repeat(1_200_000)

describeDatabases('exports', (kind) => {
  let app: TestApp
  let user: TestUser
  let other: TestUser
  let caller: Caller
  let client: TestClient
  let token: string

  beforeAll(async () => {
    app = await startApp({ kind, env: { MAX_BODY_BYTES: '8000000' } })
    user = await app.register()
    other = await app.register()
    client = await app.connect('legacy', user.accessToken)
    caller = await app.app.services.sessions.resolve(user.accessToken)
    token = (await personalToken(app, caller)).token
    const stranger = await app.connect('legacy', other.accessToken)
    await stranger.call('send_message', { message: 'the words of somebody else', tag: 'theirs' })
  })
  afterAll(() => app.close())

  const exported = async () => {
    const pieces: string[] = []
    for await (const piece of app.app.services.exports.stream(caller)) pieces.push(piece)
    return { pieces, text: pieces.join(''), document: JSON.parse(pieces.join('')) }
  }
  const send = async (args: object) => {
    const { isError, text, structured } = await client.call('send_message', { ...args })
    if (isError) throw new Error(text)
    return structured.data
  }

  test('of a user who said nothing is whole and valid', async () => {
    const { document } = await exported()
    expect(document).toEqual({
      exported_at: expect.stringMatching(/Z$/),
      user: {
        id: user.userId,
        username: user.username,
        email: user.email,
        created_at: expect.stringMatching(/Z$/),
        anthropic_key: {
          last_four: user.apiKey.slice(-4),
          stored_at: expect.stringMatching(/Z$/),
          rejected_at: null,
        },
      },
      budgets: [],
      sessions: [
        expect.objectContaining({ kind: 'personal', name: 'an agent' }),
        expect.objectContaining({ kind: 'password', name: null }),
      ],
      conversations: [],
      usage: [],
    })
    expect(await app.app.services.exports.counts(caller)).toEqual({
      conversations: 0,
      messages: 0,
      usageRows: 0,
    })
  })

  test('holds what was said and billed, opened, and nobody else’s', async () => {
    await client.call('set_budget', { period: 'month', limit_usd: 12.5 })
    app.claude.setReply(() => 'naïve "answer" \u2028 \u{1f600}')
    const first = await send({
      message: 'Plan a trip\nto Kyoto',
      system_prompt: 'Be brief.',
      tag: 'travel',
    })
    await send({ message: 'go on', conversation_id: first.conversation_id, thinking: 'adaptive' })
    const second = await send({ message: 'something else' })
    const { document } = await exported()

    expect(document.budgets).toEqual([
      { period: 'month', set_by: 'user', limit_usd: 12.5, limit_tokens: null },
    ])
    const [trip, rest] = document.conversations
    expect(trip).toMatchObject({
      id: first.conversation_id,
      title: expect.stringContaining('Plan a trip'),
      system_prompt: 'Be brief.',
      model: first.model,
    })
    expect(
      trip.messages.map(({ role, content }: Record<string, string>) => `${role}: ${content}`),
    ).toEqual([
      'user: Plan a trip\nto Kyoto',
      'assistant: naïve "answer" \u2028 \u{1f600}',
      'user: go on',
      'assistant: naïve "answer" \u2028 \u{1f600}',
    ])
    expect(trip.messages[1]).toMatchObject({
      id: first.message_id,
      status: 'complete',
      tag: 'travel',
    })
    expect(trip.messages[1]).not.toHaveProperty('blocks')
    expect(trip.messages[3].blocks.map(({ type }: { type: string }) => type)).toEqual([
      'thinking',
      'text',
    ])
    expect(rest).toMatchObject({ id: second.conversation_id, system_prompt: null })
    expect(document.usage).toHaveLength(3)
    expect(document.usage[0]).toMatchObject({
      message_id: first.message_id,
      cost_usd: first.cost_usd,
      output_tokens: first.usage.output_tokens,
      tag: 'travel',
    })
    expect(await app.app.services.exports.counts(caller)).toEqual({
      conversations: 2,
      messages: 6,
      usageRows: 3,
    })
  })

  test('holds no secret', async () => {
    const { text } = await exported()
    const secrets = [user.apiKey, user.password, user.accessToken, token, other.userId, 'theirs']
    for (const secret of secrets) expect(text).not.toContain(secret)
    expect(text).not.toContain('argon2')
  })

  test('comes in pieces that are no larger than their page', async () => {
    app.claude.setReply(() => 'short')
    const { conversation_id } = await send({ message: LONG })
    const long = { conversation_id, message: LONG }
    for (let turn = 2; turn <= 4; turn++) await send({ ...long, message: `${turn}${LONG}` })
    const { pieces, document } = await exported()
    const { messages } = document.conversations.at(-1)
    expect(messages).toHaveLength(8)
    expect(
      messages.filter(({ role }: { role: string }) => role === 'user').map(firstCharacter),
    ).toEqual(['x', '2', '3', '4'])
    const longest = Math.max(...pieces.map((piece) => piece.length))
    expect(longest).toBeLessThan(4 * 1024 * 1024 + LONG.length + 10_000)
    expect(pieces.filter((piece) => piece.length > LONG.length).length).toBeGreaterThan(1)
  })

  test('is for who may read it all', async () => {
    const some = await personalToken(app, caller, ['account', 'usage:read'])
    const limited = await app.app.services.sessions.resolve(some.token)
    const refusal = { code: 'insufficient_scope', details: { scope: 'conversations:read' } }
    expect(() => app.app.services.exports.stream(limited)).toThrow(expect.objectContaining(refusal))
    await expect(app.app.services.exports.counts(limited)).rejects.toMatchObject(refusal)
  })
})

const firstCharacter = ({ content }: { content: string }) => content.charAt(0)
