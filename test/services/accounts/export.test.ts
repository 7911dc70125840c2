import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { personalToken, type SignedUp, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam } from '../../support/teams.ts'

/** A page takes at most four of them. */
const LONG = 'x'.repeat(1_200_000)

describeDatabases('exports', (kind) => {
  let app: TestApp
  let user: TestUser
  let other: TestUser
  let caller: Caller
  let client: TestClient
  let token: string

  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    other = await app.register()
    client = await app.connect('legacy', user.accessToken)
    caller = await app.app.services.sessions.resolve(user.accessToken)
    token = (await personalToken(app, caller)).token
    const stranger = await app.connect('legacy', other.accessToken)
    await stranger.call('send_message', { message: 'the words of somebody else', tag: 'theirs' })
  })
  afterAll(() => app.close())

  const exported = async (whose = caller) => {
    const pieces: string[] = []
    for await (const piece of app.app.services.exports.stream(whose)) pieces.push(piece)
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
      budget_requests: [],
      sessions: [
        expect.objectContaining({ kind: 'personal', name: 'an agent' }),
        expect.objectContaining({ kind: 'password', name: null }),
      ],
      conversations: [],
      usage: [],
      teams: [],
      invitations_made: [],
      shares_given: [],
      shares_received: [],
      links: [],
      messages_elsewhere: [],
      audit_events: expect.any(Array),
    })
    const acts = document.audit_events.map(({ action }: { action: string }) => action)
    expect(acts).toEqual(expect.arrayContaining(['user.added', 'session.begun', 'export.account']))
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
      {
        period: 'month',
        set_by: 'user',
        covers: 'own_key',
        limit_usd: 12.5,
        limit_tokens: null,
      },
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

  describe('in pages', () => {
    let hoarder: SignedUp
    beforeAll(async () => {
      hoarder = await signUp(app)
    })

    /** With so many turns whose messages are their number and this text. */
    const keep = (turns: number, text: string) => {
      const messages = Array.from({ length: turns }, (_, turn) => `${turn}${text}`)
      return keepConversation(app, hoarder.caller.userId, messages)
    }

    type Row = { id: string; messages: { role: string; content: string }[] }
    const ofHoarder = async () => {
      const { pieces, document } = await exported(hoarder.caller)
      const rows: Row[] = document.conversations
      const said = (id: string) =>
        rows
          .find((row) => row.id === id)
          ?.messages.flatMap(({ role, content }) =>
            role === 'user' ? [Number.parseInt(content, 10)] : [],
          )
      return { pieces, ids: rows.map((row) => row.id), said }
    }

    test('no piece is much larger than 4 MiB, and nothing is lost between two', async () => {
      const id = await keep(7, LONG)
      const { pieces, said } = await ofHoarder()
      expect(said(id)).toEqual([0, 1, 2, 3, 4, 5, 6])
      const longest = Math.max(...pieces.map((piece) => piece.length))
      expect(longest).toBeLessThan(4 * 1024 * 1024 + LONG.length + 10_000)
    })

    test('more rows than a page takes come once each, in order', async () => {
      const long = await keep(260, '')
      const short: string[] = []
      for (let made = 0; made < 101; made++) short.push(await keep(1, ''))
      const { ids, said } = await ofHoarder()
      expect(said(long)).toEqual(Array.from({ length: 260 }, (_, turn) => turn))
      expect(ids.slice(1)).toEqual([long, ...short])
    })
  })

  test('ends with the session that asked for it, between two pieces', async () => {
    const { caller: reader } = await signUp(app)
    await keepConversation(app, reader.userId, [LONG])
    const pieces: string[] = []
    const reading = (async () => {
      for await (const piece of app.app.services.exports.stream(reader)) {
        pieces.push(piece)
        if (pieces.length === 2) await app.app.services.sessions.revoke(reader)
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(pieces).toHaveLength(2)
    expect(pieces.join('').length).toBeLessThan(LONG.length)
  })

  test('is not begun for a session that has ended, and not gone on with for ever', async () => {
    const { caller: late } = await signUp(app)
    const first = (deadlineMs?: number) =>
      app.app.services.exports.stream(late, deadlineMs)[Symbol.asyncIterator]().next()
    await expect(first(-1)).rejects.toMatchObject({ code: 'request_too_large' })
    await app.app.services.sessions.revoke(late)
    await expect(first()).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('holds what there was when it began, and nothing said since', async () => {
    const slow = await startApp({ kind, claude: { chunkDelayMs: 40, chunkSize: 4 } })
    try {
      const writer = await slow.register()
      const reader = await slow.app.services.sessions.resolve(writer.accessToken)
      await keepConversation(slow, writer.userId, [LONG])
      slow.claude.setReply(() => 'an answer that was still being written '.repeat(3))
      const sender = await slow.connect('modern', writer.accessToken)
      const running = await sender.call('send_message', { message: 'before', wait_seconds: 0 })
      const { message_id, conversation_id } = running.structured.data

      const reading = slow.app.services.exports.stream(reader)[Symbol.asyncIterator]()
      let text = (await reading.next()).value as string
      await sender.call('get_message', { message_id, wait_seconds: 60 })
      const since = { message: 'said since', conversation_id }
      expect((await sender.call('send_message', since)).isError).toBe(false)
      expect((await sender.call('send_message', { message: 'begun since' })).isError).toBe(false)
      for (;;) {
        const { done, value } = await reading.next()
        if (done) break
        text += value
      }
      const { conversations, usage } = JSON.parse(text)
      expect(conversations).toHaveLength(2)
      expect(conversations[1].messages).toMatchObject([
        { role: 'user', content: 'before', status: 'running', finished_at: null },
        { id: message_id, role: 'assistant', content: '', status: 'running', finished_at: null },
      ])
      expect(usage).toEqual([])
      expect(text).not.toContain('since')
    } finally {
      await slow.close()
    }
  })

  test('is for who may read it all', async () => {
    const some = await personalToken(app, caller, ['account', 'usage:read'], 'another agent')
    const limited = await app.app.services.sessions.resolve(some.token)
    const refusal = { code: 'insufficient_scope', details: { scope: 'conversations:read' } }
    expect(() => app.app.services.exports.stream(limited)).toThrow(expect.objectContaining(refusal))
    await expect(app.app.services.exports.counts(limited)).rejects.toMatchObject(refusal)
  })

  test('has their part in teams, shares, links and conversations of others', async () => {
    const [ada, bob] = [await app.register(), await app.register()]
    const team = await newTeam(app, [ada, bob])
    const [adas, bobs] = [await callerOf(app, ada), await callerOf(app, bob)]
    const { invitations, sharing, links } = app.app.services
    await invitations.create(adas, team.id, { role: 'member', username: 'eve-of-the-invitation' })
    const said = async (whose: TestUser, message: string, more = {}) =>
      (
        await (
          await app.connect('modern', whose.accessToken)
        ).call('send_message', {
          message,
          ...more,
        })
      ).structured.data.conversation_id as string
    const id = await said(ada, 'words of ada')
    const share = { conversationId: id, role: 'contributor' as const }
    await sharing.share(adas, { ...share, with: { team: team.name } })
    await links.make(adas, { conversationId: id, readers: 'signed-in', label: 'for the wiki' })
    await said(bob, 'words of bob', { conversation_id: id })
    const ofAda = (await exported(adas)).document
    expect(ofAda).toMatchObject({
      teams: [{ team_id: team.id, name: team.name, role: 'owner' }],
      invitations_made: [{ team_id: team.id, only_for: 'eve-of-the-invitation' }],
      shares_given: [{ conversation_id: id, with: { team: team.name }, role: 'contributor' }],
      shares_received: [],
      links: [{ conversation_id: id, label: 'for the wiki', readers: 'everybody' }],
      messages_elsewhere: [],
    })
    const ofBob = (await exported(bobs)).document
    expect(ofBob).toMatchObject({
      teams: [{ team_id: team.id, role: 'member' }],
      invitations_made: [],
      shares_given: [],
      shares_received: [{ conversation_id: id, owner: ada.username, with: { team: team.name } }],
      links: [],
      messages_elsewhere: [{ conversation_id: id, content: 'words of bob' }],
    })
    expect(JSON.stringify(ofBob)).not.toContain('words of ada')
    const added = ofBob.audit_events.find(
      ({ action }: { action: string }) => action === 'member.added',
    )
    expect(added).toMatchObject({ by: 'operator', session_id: null, target_id: bob.userId })
  })
})
