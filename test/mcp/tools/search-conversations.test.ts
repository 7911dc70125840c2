/** What a search finds: all that was committed, nothing of others, nothing that was deleted. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer } from '../../support/clients.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

type Hit = {
  conversation_id: string
  title: string
  message_id?: string
  position?: number
  role?: string
  snippet: string
}

describeDatabases('search_conversations', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient
  let other: TestUser
  let stranger: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    client = await app.connect('modern', user.accessToken)
    other = await app.register()
    stranger = await app.connect('legacy', other.accessToken)
  })
  afterAll(() => app.close())

  const error = ({ structured }: Answer) => structured.error
  const search = async (args: Record<string, unknown>, by = client) => {
    const { structured } = await by.call('search_conversations', args)
    expect(structured.error).toBeUndefined()
    return structured.data as {
      hits: Hit[]
      searched: number
      complete: boolean
      next_cursor: string | null
    }
  }
  const everything = async (args: Record<string, unknown>, by = client) => {
    const hits: Hit[] = []
    let cursor: string | null = null
    do {
      const page = await search({ ...args, ...(cursor === null ? {} : { cursor }) }, by)
      hits.push(...page.hits)
      expect(page.complete).toBe(page.next_cursor === null)
      cursor = page.next_cursor
    } while (cursor !== null)
    return hits
  }
  const send = async (args: Record<string, unknown>, by = client) =>
    (await by.call('send_message', args)).structured.data

  test('finds titles first, then messages, the newest first, as soon as they are there', async () => {
    const first = await send({ message: 'The Heron stands in the reeds.' })
    await send({ conversation_id: first.conversation_id, message: 'No bird here.' })
    const second = await send({ message: 'Something else' })
    await send({ conversation_id: second.conversation_id, message: 'a HERON, again' })
    const hits = await everything({ query: 'heron' })
    expect(hits.map(({ position, role }) => [position, role])).toEqual([
      [undefined, undefined],
      [4, 'assistant'],
      [3, 'user'],
      [2, 'assistant'],
      [1, 'user'],
    ])
    expect(hits[0]).toMatchObject({
      conversation_id: first.conversation_id,
      title: 'The Heron stands in the reeds.',
    })
    expect(hits[2]).toMatchObject({
      conversation_id: second.conversation_id,
      title: 'Something else',
      snippet: 'a HERON, again',
    })
  })

  test('finds the words of others never, and its own only until they are deleted', async () => {
    const { conversation_id } = await send({ message: 'a secret kingfisher' }, stranger)
    expect((await search({ query: 'kingfisher' })).hits).toEqual([])
    expect(await everything({ query: 'kingfisher' }, stranger)).toHaveLength(3)
    await stranger.call('delete_conversation', { conversation_id })
    expect(await everything({ query: 'kingfisher' }, stranger)).toEqual([])
  })

  test('goes on from its cursor, and repeats and misses nothing', async () => {
    const texts = Array.from({ length: 110 }, (_, index) => `osprey number ${index}`)
    await keepConversation(app, user.userId, texts, 'an osprey, yes')
    const hits = await everything({ query: 'osprey', limit: 37 })
    expect(hits).toHaveLength(220)
    expect(new Set(hits.map(({ message_id }) => message_id)).size).toBe(220)
    const positions = hits.map(({ position }) => position)
    expect(positions).toEqual([...positions].sort((one, next) => Number(next) - Number(one)))
    expect(await everything({ query: '"osprey number 109"' })).toHaveLength(1)
  })

  test('a cursor belongs to its user and to its search', async () => {
    await send({ message: 'stork one' })
    await send({ message: 'stork two' })
    const { next_cursor: cursor } = await search({ query: 'stork', limit: 1 })
    for (const [args, by] of [
      [{ query: 'stork', cursor }, stranger],
      [{ query: 'heron', cursor }, client],
      [{ query: 'stork', in: 'mine', cursor }, client],
      [{ query: 'stork', cursor: `${cursor}x` }, client],
      [{ query: 'stork', cursor: 'AAAA' }, client],
    ] as const) {
      expect(error(await by.call('search_conversations', args))).toMatchObject({
        code: 'invalid_input',
        details: { field: 'cursor' },
      })
    }
    expect(cursor, 'it does not tell what it holds').not.toContain(btoa('stork').slice(0, 6))
  })

  test('an earlier cursor leads to nothing that was deleted since', async () => {
    const ids = []
    for (const message of ['egret one', 'egret two'])
      ids.push((await send({ message })).conversation_id)
    const { next_cursor: cursor, hits } = await search({ query: 'egret', limit: 1 })
    const rest = ids.find((id) => id !== hits[0]?.conversation_id)
    await client.call('delete_conversation', { conversation_id: rest })
    const later = await search({ query: 'egret', cursor })
    expect(later.hits.map(({ conversation_id }) => conversation_id)).not.toContain(rest)
  })

  test('looks only into the days that are asked for, and where it is asked to', async () => {
    await send({ message: 'a curlew today' })
    const [today, before] = ['2020-01-01', '2020-01-02'].map(() =>
      new Date().toISOString().slice(0, 10),
    )
    expect(await everything({ query: 'curlew', from: today, to: before })).toHaveLength(3)
    expect((await search({ query: 'curlew', to: '2021-01-01' })).hits).toEqual([])
    expect((await search({ query: 'curlew', in: 'shared' })).hits).toEqual([])
    expect(await everything({ query: 'curlew', in: 'mine' })).toHaveLength(3)
    const wrong = { query: 'curlew', from: '2026-02-01', to: '2026-01-01' }
    expect(error(await client.call('search_conversations', wrong))).toMatchObject({
      code: 'invalid_input',
      details: { field: 'from' },
    })
  })

  test('leaves no word of the query or the texts in the log', async () => {
    await send({ message: 'zymurgy is a word' })
    await search({ query: 'zymurgy word' })
    expect(app.logLines.length).toBeGreaterThan(0)
    expect(app.logLines.join('')).not.toContain('zymurgy')
  })

  describe('a hostile query', () => {
    test.each([
      ['none at all', ''],
      ['no word', '"  "'],
      ['more than a person types', 'x'.repeat(501)],
      ['a megabyte', 'x '.repeat(500_000)],
      ['too many words', Array.from({ length: 21 }, (_, at) => `w${at}`).join(' ')],
    ])('of %s is refused', async (_name, query) => {
      expect(error(await client.call('search_conversations', { query })).code).toBe('invalid_input')
    })

    test('eight searches at once are answered one after another', async () => {
      const all = await Promise.all(Array.from({ length: 8 }, () => search({ query: 'heron' })))
      for (const { hits } of all) expect(hits.length).toBeGreaterThan(0)
    })
  })

  test('searches are counted per user', async () => {
    const strict = await startApp({ kind, env: { SEARCHES_PER_MINUTE: '2' } })
    try {
      const { accessToken } = await strict.register()
      const one = await strict.connect('modern', accessToken)
      const codes = []
      for (let call = 0; call < 3; call++)
        codes.push(error(await one.call('search_conversations', { query: 'x' }))?.code)
      expect(codes).toEqual([undefined, undefined, 'rate_limited'])
      expect(error(await one.call('get_conversations', {}))).toBeUndefined()
    } finally {
      await strict.close()
    }
  })
})
