/** Which statements a call waits for, one after the other: each is a round trip to PostgreSQL. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { preparedName } from '../../src/database/statements/prepared.ts'
import { apiUser } from '../support/api-user.ts'
import { describeDatabases } from '../support/databases.ts'
import { PATIENCE } from '../support/patience.ts'
import { browserSession } from '../support/signed-up.ts'
import { type Answer, type Era, eras, startApp, type TestApp } from '../support/start-app.ts'
import { newTeam } from '../support/teams.ts'

const TABLES =
  /\b(sessions|users|api_keys|conversations|messages|rate_limits|spending|ledger|teams?)\b/
/** What the process does on its own, and what no call waits for. */
const ASIDE = /save_checkpoints|lease_expires_at|"last_used_at" =|forgotten_turns|"counted_at"/

describeDatabases('statements of a call', (kind) => {
  let app: TestApp
  let asked: string[] = []

  beforeAll(async () => {
    app = await startApp({ kind })
    const executor = app.app.db.getExecutor()
    const executeQuery = executor.executeQuery.bind(executor)
    executor.executeQuery = (query) => {
      const name = preparedName(query.sql) ?? query.sql
      if (!ASIDE.test(name) && (name !== query.sql || TABLES.test(name))) asked.push(name)
      return executeQuery(query)
    }
  })
  afterAll(() => app.close())

  const verb = kind === 'embedded' ? 'check' : 'count'
  const by = (proof: string) => `${verb}_callers_by_${proof}`

  const during = async (work: () => Promise<unknown>) => {
    asked = []
    await work()
    return asked
  }

  const begin = async (era: Era = 'modern') => {
    const user = await app.register()
    const client = await app.connect(era, user.accessToken)
    const send = async (args: object = {}): Promise<string> => {
      const sent = await client.call('send_message', { message: 'Hi', ...args })
      expect(sent.isError, sent.text).toBe(false)
      return sent.structured.data.conversation_id
    }
    return { user, client, send }
  }

  const read = [by('id'), 'begin_turns', 'end_turns']
  /** Where requests are counted in the database. */
  const remembered = kind === 'embedded' ? read : ['begin_remembered_turns', 'end_turns']

  test('a message whose sender and conversation are remembered: its beginning and its end', async () => {
    const { send } = await begin()
    // The first of a day makes the rows that its cost is added to.
    const conversation_id = await send()
    for (let turn = 0; turn < 3; turn++)
      expect(await during(() => send({ conversation_id }))).toEqual(remembered)
    expect(await during(() => send())).toEqual(remembered)
  })

  test('else also its session, limit and context together', async () => {
    const { send, client } = await begin()
    const conversation_id = await send()
    const change = { conversation_id, system_prompt: 'Be brief.' }
    expect((await client.call('update_conversation', change)).isError).toBe(false)
    const stale = kind === 'embedded' ? [] : ['begin_remembered_turns']
    expect(await during(() => send({ conversation_id }))).toEqual([...stale, ...read])
    // Not again at once: on many replicas what each remembers is stale most of the time.
    expect(await during(() => send({ conversation_id }))).toEqual(read)
    expect(await during(() => send({ conversation_id }))).toEqual(remembered)
  })

  const paid = [`${verb}_team_callers_by_id`, 'begin_team_turns', 'end_team_turns']
  const paidRemembered = kind === 'embedded' ? paid : ['begin_team_turns', 'end_team_turns']

  test('a message that a team pays for by its name: its beginning and its end, once it was read', async () => {
    const { user, send } = await begin()
    const team = await newTeam(app, [user])
    const pay_with = `team:${team.id}`
    const conversation_id = await send({ pay_with })
    for (let turn = 0; turn < 2; turn++)
      expect(await during(() => send({ conversation_id, pay_with }))).toEqual(paidRemembered)
    const byName = { pay_with: `team:${team.name.toUpperCase()}` }
    expect(await during(() => send(byName))).toEqual(paidRemembered)
    const another = { pay_with: `team:${(await newTeam(app, [user])).name}` }
    // The first makes the rows that its cost is added to.
    expect((await during(() => send(another)))[0]).toBe(paid[0])
    expect(await during(() => send(another))).toEqual(paidRemembered)
  })

  test('the same where its conversation has the team pay, once this process has seen that', async () => {
    const { user, client, send } = await begin()
    const team = await newTeam(app, [user])
    const conversation_id = await send({ pay_with: `team:${team.id}` })
    const pays = async (payer: string) => {
      const changed = await client.call('update_conversation', { conversation_id, payer })
      expect(changed.isError, changed.text).toBe(false)
    }
    await pays(`team:${team.id}`)
    await send({ conversation_id })
    await send({ conversation_id })
    for (let turn = 0; turn < 2; turn++)
      expect(await during(() => send({ conversation_id }))).toEqual(paidRemembered)
    // One's own key there: no team is looked for.
    expect(await during(() => send({ conversation_id, pay_with: 'own' }))).toEqual(remembered)
    await pays('sender')
    await send({ conversation_id })
    await send({ conversation_id })
    expect(await during(() => send({ conversation_id }))).toEqual(remembered)
  })

  /** Where requests are counted in the database, else its session by itself. */
  const readWith = (name: string, otherwise: string[]) =>
    kind === 'embedded' ? ['check_sessions_by_id', ...otherwise] : [`count_${name}_by_id`]

  describe.each(eras)('a call that reads, with its session and limit (%s)', (era) => {
    test('a page of conversations', async () => {
      const { client, send } = await begin(era)
      await send()
      await send()
      const whole = (await client.call('get_conversations')).structured
      expect(whole).toMatchObject({ total: 2, next_cursor: null })
      const list = async (args: object) => {
        let page = whole
        const statements = await during(async () => {
          page = (await client.call('get_conversations', { ...args })).structured
        })
        expect(statements).toEqual(readWith('own_lists', ['list_conversations']))
        return page
      }
      expect(await list({})).toEqual(whole)
      const [newer, older] = whole.conversations
      const first = await list({ limit: 1 })
      expect(first).toMatchObject({ conversations: [newer], total: 2 })
      const rest = { success: true, conversations: [older], total: 2, next_cursor: null }
      expect(await list({ limit: 1, cursor: first.next_cursor })).toEqual(rest)
      expect(await list({ limit: 1, offset: 1 })).toEqual(rest)
      expect(await list({ offset: 2 })).toEqual({ ...rest, conversations: [] })
    })

    test('the newest page of a conversation', async () => {
      const { client, send } = await begin(era)
      const conversation_id = await send()
      await send({ conversation_id, message: 'And now?' })
      const read = async (args: object) => {
        let page: Answer['structured']
        const statements = await during(async () => {
          const wanted = { conversation_id, ...args }
          page = (await client.call('get_conversation_history', wanted)).structured
        })
        expect(statements).toEqual(
          readWith('histories', ['find_readable_conversation', 'page_messages']),
        )
        return page
      }
      const whole = await read({})
      expect(whole).toMatchObject({ total: 4, next_before: null })
      expect(whole.messages).toHaveLength(4)
      const last = await read({ limit: 1 })
      expect(last).toMatchObject({ messages: whole.messages.slice(3), total: 4 })
      expect(last.next_before).toBe(whole.messages[3].id)
    })

    test('an answer', async () => {
      const { client, send } = await begin(era)
      const conversation_id = await send()
      const history = await client.call('get_conversation_history', { conversation_id })
      const message_id = history.structured.messages[1].id
      const get = () => client.call('get_message', { message_id })
      expect((await get()).structured.data).toMatchObject({ conversation_id, status: 'complete' })
      expect(await during(get)).toEqual(readWith('answers', ['find_reached_answer']))
    })
  })

  const pass = async (token: string) => {
    const answer = await fetch(`${app.baseUrl}/v1/messages`, {
      method: 'POST',
      headers: {
        'x-api-key': token,
        'anthropic-version': '2023-06-01',
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        model: 'claude-sonnet-5-5',
        max_tokens: 100,
        messages: [{ role: 'user', content: 'Hi' }],
      }),
    })
    expect(answer.status, await answer.text()).toBe(200)
    // It is booked once its client has the whole answer.
    await expect.poll(() => asked.at(-1), PATIENCE).toMatch(/^end_/)
  }

  test('a call of the Messages API: the same', async () => {
    const { token } = await apiUser(app)
    await during(() => pass(token))
    expect(await during(() => pass(token))).toEqual([by('hash'), 'begin_calls', 'end_calls'])
  })

  test('one that a team pays for: the same, once this process has seen that', async () => {
    const user = await app.register()
    const team = await newTeam(app, [user])
    const caller = await browserSession(app, user.userId)
    const { token } = await app.app.services.personalTokens.create(caller, {
      name: 'an agent',
      scopes: ['messages:api'],
      expiresAt: new Date(Date.now() + 3_600_000),
      purses: [team.id],
    })
    await during(() => pass(token))
    const statements = [`${verb}_team_callers_by_hash`, 'begin_team_calls', 'end_team_calls']
    for (let turn = 0; turn < 2; turn++) expect(await during(() => pass(token))).toEqual(statements)
    expect(app.claude.messageRequests().at(-1)?.key).toBe(team.apiKey)
  })
})
