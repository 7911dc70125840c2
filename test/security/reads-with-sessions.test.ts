/**
 * Tools that read with the statement that checks their session: what they answer is what they would
 * answer if they read afterwards, and without the authority it is nothing.
 */

import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { preparedName } from '../../src/database/statements/prepared.ts'
import { readsList } from '../../src/services/conversations/conversations.ts'
import { postCall, resultIn } from '../mcp/raw-call.ts'
import { describeDatabases } from '../support/databases.ts'
import { browserSession, personalToken } from '../support/signed-up.ts'
import { type Era, eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'

/** Answered without an SDK, and by that of its era. */
const WAYS = {
  directly: 'application/json',
  'by the SDK': 'application/json; charset=utf-8',
}
type Way = keyof typeof WAYS
const PATHS = eras.flatMap((era) => (Object.keys(WAYS) as Way[]).map((way) => ({ era, way })))

type Call = [tool: string, args: Record<string, unknown>]
type Ids = { conversation_id: string; message_id: string }

/** Of each tool a call that reads with its session, and one of the same scope that does not. */
const CALLS = ({ conversation_id, message_id }: Ids): [reading: Call, plain: Call][] => [
  [
    ['get_conversations', {}],
    ['get_conversations', { filter: 'shared' }],
  ],
  [
    ['get_conversation_history', { conversation_id }],
    ['get_conversation_history', { conversation_id, before: randomUUID() }],
  ],
  [
    ['get_message', { message_id }],
    ['cancel_message', { message_id }],
  ],
]

/** How authority may end, in the database alone. */
const ENDS: Record<string, (userId: string) => ReturnType<typeof sql>> = {
  'a revoked session': (id) => sql`update sessions set revoked_at = now() where user_id = ${id}`,
  'an expired session': (id) => sql`update sessions set expires_at = now() where user_id = ${id}`,
  'a suspended user': (id) => sql`update users set suspended_at = now() where id = ${id}`,
  'a session without the scope': (id) =>
    sql`update sessions set scopes = '{usage:read}' where user_id = ${id}`,
}

const ANSWER = 'the words that only readers may see'

describeDatabases('tools that read with their session', (kind) => {
  let app: TestApp
  let user: TestUser
  let ids: Ids
  let seen: { name: string; rows: Record<string, unknown>[] }[] = []
  /** Before the answer of the database is handed on. */
  let meanwhile: ((name: string) => Promise<void>) | undefined

  beforeAll(async () => {
    app = await startApp({ kind })
    app.claude.setReply(() => ANSWER)
    const executor = app.app.db.getExecutor()
    const executeQuery = executor.executeQuery.bind(executor)
    executor.executeQuery = async (query) => {
      const result = await executeQuery(query)
      const name = preparedName(query.sql) ?? ''
      seen.push({ name, rows: result.rows as Record<string, unknown>[] })
      await meanwhile?.(name)
      return result as never
    }
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    user = await app.register()
    ids = await converse(user, { message: 'Hi' })
    seen = []
    meanwhile = undefined
  })

  async function converse({ accessToken }: TestUser, args: Record<string, unknown>): Promise<Ids> {
    const client = await app.connect('modern', accessToken)
    const { structured, isError, text } = await client.call('send_message', args)
    expect(isError, text).toBe(false)
    return structured.data
  }

  /** What a client sees of an answer, besides the count of its requests. */
  async function ask(path: { era: Era; way: Way }, token: string, [tool, args]: Call) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': WAYS[path.way] }
    const answer = await postCall(app.mcpUrl, path.era, tool, args, { headers })
    const challenge = answer.headers.get('www-authenticate')
    return { status: answer.status, challenge, body: await answer.text() }
  }

  const personal = async ({ userId }: TestUser) => {
    const caller = await browserSession(app, userId)
    const made = await personalToken(app, caller, ['conversations:read', 'messages:send'])
    return made.token
  }

  const readTogether = (name: string) =>
    /^(count|check)_(own_lists|histories|answers)_by_/.test(name)

  describe.each(PATHS)('$era, answered $way', (path) => {
    test.each(Object.entries(ENDS))('%s: the same refusal, and nothing is read', async (_, end) => {
      const tokens = [user.accessToken, await personal(user)]
      await end(user.userId).execute(app.app.db)
      for (const token of tokens) {
        for (const [reading, plain] of CALLS(ids)) {
          seen = []
          const refused = await ask(path, token, reading)
          expect([401, 403]).toContain(refused.status)
          expect(refused.challenge).toMatch(/error="(invalid_token|insufficient_scope)"/)
          const rows = seen.flatMap((statement) => statement.rows)
          expect(rows.filter((row) => row.id != null && row.title != null)).toEqual([])
          expect(rows.filter((row) => row.content != null)).toEqual([])
          expect(refused).toEqual(await ask(path, token, plain))
        }
      }
    })

    test('a share that was revoked: gone from the very next call', async () => {
      const bob = await app.register()
      const share = await give(bob)
      const [, history, answer] = CALLS(ids).map(([reading]) => reading)
      for (const call of [history, answer] as Call[])
        expect((await ask(path, bob.accessToken, call)).body).toContain(ANSWER)
      await revoke(share)
      for (const call of [history, answer] as Call[]) {
        const { status, body } = await ask(path, bob.accessToken, call)
        expect(status).toBe(200)
        expect(resultIn(body).error.code).toBe('not_found')
        expect(body).not.toContain(ANSWER)
      }
    })

    test('what was read long before it is used: read again', async () => {
      if (kind === 'embedded') return
      const bob = await app.register()
      for (const [reading] of CALLS(ids).slice(1)) {
        const share = await give(bob)
        meanwhile = async (name) => {
          if (!readTogether(name)) return
          meanwhile = undefined
          await revoke(share)
          await new Promise((resolve) => setTimeout(resolve, 1100))
        }
        const { body } = await ask(path, bob.accessToken, reading)
        expect(meanwhile).toBeUndefined()
        expect(resultIn(body).error.code).toBe('not_found')
        expect(body).not.toContain(ANSWER)
      }
    })
  })

  /** @returns the share's id. */
  async function give(to: TestUser): Promise<string> {
    const client = await app.connect('legacy', user.accessToken)
    const { structured } = await client.call('share_conversation', {
      conversation_id: ids.conversation_id,
      with: { username: to.username },
      role: 'viewer',
    })
    await app.app.repositories.grants.accept(structured.data.share_id, to.userId)
    return structured.data.share_id
  }

  async function revoke(share_id: string): Promise<void> {
    const client = await app.connect('legacy', user.accessToken)
    expect((await client.call('revoke_share', { share_id })).isError).toBe(false)
  }

  /** Two tokens in one request are both looked up before anything is read. */
  async function afterwards(token: string, other: string, [tool, args]: Call) {
    const headers = { authorization: `Bearer ${other}` }
    const given = { ...args, access_token: token }
    return (await postCall(app.mcpUrl, 'legacy', tool, given, { headers })).text()
  }

  test('the same answer as when it is read afterwards', async () => {
    const { conversation_id } = ids
    const continued = { conversation_id, message: 'And?' }
    const lengths = [10, 40_000, 90_000, 300_000]
    const messages: string[] = [ids.message_id]
    for (const [index, length] of lengths.entries()) {
      app.claude.setReply(() => String(index).repeat(length))
      messages.push((await converse(user, continued)).message_id)
    }
    app.claude.setReply(() => ANSWER)
    messages.push((await converse(user, continued)).message_id)
    const running = await converse(user, { message: 'slowly', wait_seconds: 0 })
    const other = await personal(user)
    const viewer = await app.register()
    await give(viewer)
    const othersToken = await personal(viewer)
    const history = (args: object): Call => [
      'get_conversation_history',
      { conversation_id, ...args },
    ]
    const calls: Call[] = [
      ['get_conversations', {}],
      ['get_conversations', { limit: 1, offset: 1 }],
      ['get_conversations', { limit: 1, offset: 9 }],
      ['get_conversations', { cursor: 'none' }],
      ...[undefined, 1, 2, 3, 5, 9, 100].map((limit) => history({ limit })),
      history({ conversation_id: randomUUID() }),
      ...[...messages, randomUUID()].map((message_id): Call => ['get_message', { message_id }]),
      ['get_message', { message_id: running.message_id, wait_seconds: 60 }],
      ['get_message', { message_id: messages[4], offset: 200_000 }],
    ]
    for (const [token, its] of [
      [user.accessToken, other],
      [viewer.accessToken, othersToken],
    ] as const) {
      for (const call of calls) {
        const { status, body } = await ask({ era: 'legacy', way: 'directly' }, token, call)
        expect(status).toBe(200)
        expect(body, JSON.stringify(call)).toBe(await afterwards(token, its, call))
      }
    }
  })
})

describeDatabases('tools that read with their session, above the limit', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind, env: { REQUESTS_PER_MINUTE: '2' } })
  })
  afterAll(() => app.close())

  const counts = (headers: Headers) =>
    /r=(\d+)/.exec(headers.get('ratelimit') ?? 'nothing was counted')?.[1]

  test.each(PATHS)(
    '$era, answered $way: counted once, and refused with nothing read',
    async (path) => {
      const nothing = { conversation_id: randomUUID(), message_id: randomUUID() }
      for (const [[tool, args], [plainTool, plainArgs]] of CALLS(nothing)) {
        const { accessToken } = await app.register()
        const headers = {
          authorization: `Bearer ${accessToken}`,
          'content-type': WAYS[path.way],
        }
        const call = async (name: string, given: Record<string, unknown>) => {
          const answer = await postCall(app.mcpUrl, path.era, name, given, { headers })
          return { status: answer.status, left: counts(answer.headers), body: await answer.text() }
        }
        expect(await call(tool, args)).toMatchObject({ status: 200, left: '1' })
        expect(await call(tool, args)).toMatchObject({ status: 200, left: '0' })
        const refused = await call(tool, args)
        const plain = await call(plainTool, plainArgs)
        expect(refused.left).toBe('0')
        expect(toldIn(refused)).toMatchObject({ error: { code: 'rate_limited' } })
        expect(toldIn(refused)).toEqual(toldIn(plain))
      }
    },
  )

  /** Without the seconds until the next try. */
  const toldIn = ({ body }: { body: string }) =>
    JSON.parse(JSON.stringify(resultIn(body)).replaceAll(/\d+/g, '0'))

  test('requests of one moment: each has its own count, and above the limit nothing is read', async () => {
    const { accessToken } = await app.register()
    const { sessions } = app.app.services
    const list = readsList({ limit: 50, offset: 0 })
    const ask = async () => {
      const asked = Array.from({ length: 5 }, () =>
        sessions.resolveAndCount(accessToken, 'requests', list),
      )
      const hitsOf = ({ count }: Awaited<(typeof asked)[0]>) => count?.hits ?? 0
      const found = (await Promise.all(asked)).toSorted((one, other) => hitsOf(one) - hitsOf(other))
      return {
        hits: found.map(hitsOf),
        isRead: found.map(({ caller }) => caller.readAhead?.take(list) !== undefined),
      }
    }
    // Where requests are counted elsewhere, it is not known here how many there were.
    const none = Array(5).fill(false)
    const uncounted = { hits: Array(5).fill(0), isRead: none }
    if (kind === 'embedded') return expect(await ask()).toEqual(uncounted)
    const first = await ask()
    expect(first.hits).toEqual([1, 2, 3, 4, 5])
    expect(first.isRead.slice(0, 2)).toEqual([true, true])
    expect(await ask()).toEqual({ hits: [6, 7, 8, 9, 10], isRead: none })
  })
})
