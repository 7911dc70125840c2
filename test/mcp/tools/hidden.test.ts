/** A conversation that is shared with a user, and that they want to see no more. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

describeDatabases('a hidden conversation', (kind) => {
  let app: TestApp
  let bob: TestUser
  let [adas, bobs, cyds] = [] as unknown as [TestClient, TestClient, TestClient]
  beforeAll(async () => {
    app = await startApp({ kind })
    const users = [await app.register(), await app.register(), await app.register()] as const
    bob = users[1]
    const [ada, , cyd] = users
    adas = await app.connect('legacy', ada.accessToken)
    bobs = await app.connect('modern', bob.accessToken)
    cyds = await app.connect('legacy', cyd.accessToken)
  })
  afterAll(() => app.close())

  const share = async (to: 'bob' | 'everybody') => {
    const { structured } = await adas.call('send_message', { message: 'a marmalade recipe' })
    const conversation_id: string = structured.data.conversation_id
    const recipient = to === 'everybody' ? to : { username: bob.username }
    const given = await adas.call('share_conversation', {
      ...{ conversation_id, role: 'viewer', with: recipient },
    })
    const { share_id } = given.structured.data
    if (to === 'bob') await app.app.repositories.grants.accept(share_id, bob.userId)
    return conversation_id
  }
  const hide = (client: TestClient, conversation_id: string, hidden: boolean) =>
    client.call('update_conversation', { conversation_id, hidden })
  const isListed = async (client: TestClient, id: string) => {
    const { structured } = await client.call('get_conversations', { filter: 'all', limit: 200 })
    const { conversations, total } = structured
    expect(total).toBe(conversations.length)
    return conversations.some((row: { id: string }) => row.id === id)
  }
  const isFound = async (client: TestClient, id: string) => {
    const { structured } = await client.call('search_conversations', { query: 'marmalade' })
    const hits: { conversation_id: string }[] = structured.data.hits
    return hits.some((hit) => hit.conversation_id === id)
  }
  const received = async (client: TestClient, id: string) => {
    const { structured } = await client.call('get_shares')
    const rows: { conversation_id: string; hidden: boolean }[] = structured.data.received
    return rows.filter((row) => row.conversation_id === id)
  }

  test.each(['bob', 'everybody'] as const)(
    'shared with %s is in no list and no search of theirs, until it is taken back',
    async (to) => {
      const id = await share(to)
      expect([await isListed(bobs, id), await isFound(bobs, id)]).toEqual([true, true])
      const { structured } = await hide(bobs, id, true)
      expect(structured.data).toMatchObject({ id, hidden: true, role: 'viewer' })
      expect([await isListed(bobs, id), await isFound(bobs, id)]).toEqual([false, false])
      expect(await received(bobs, id)).toMatchObject([{ hidden: true }])
      // Only for them: its owner and the others have it as before.
      expect([await isListed(adas, id), await isFound(adas, id)]).toEqual([true, true])
      expect(await isListed(cyds, id)).toBe(to === 'everybody')
      expect(await received(cyds, id)).toEqual([])
      await hide(bobs, id, false)
      expect([await isListed(bobs, id), await isFound(bobs, id)]).toEqual([true, true])
    },
  )

  test('stays archived when it is taken back, and the other way round', async () => {
    const id = await share('bob')
    await bobs.call('update_conversation', { conversation_id: id, archived: true, hidden: true })
    await hide(bobs, id, false)
    const { structured } = await bobs.call('get_conversations', { filter: 'archived' })
    expect(structured.conversations).toMatchObject([{ id, archived: true }])
    await hide(bobs, id, true)
    await bobs.call('update_conversation', { conversation_id: id, archived: false })
    expect(await isListed(bobs, id)).toBe(false)
  })

  test('is nothing for its owner, who archives it, nor for those without access', async () => {
    const id = await share('bob')
    const { error } = (await hide(adas, id, true)).structured
    expect(error).toMatchObject({ code: 'invalid_input', details: { field: 'hidden' } })
    expect(error.message).toContain('archive this one of yours')
    expect((await hide(cyds, id, true)).structured.error.code).toBe('not_found')
    expect(await isListed(adas, id)).toBe(true)
  })
})
