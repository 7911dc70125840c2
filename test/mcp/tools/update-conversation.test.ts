/** Names, archives and instructs; and the list that shows it. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import type { Answer } from '../../support/clients.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

describeDatabases('update_conversation', (kind) => {
  let app: TestApp
  let user: TestUser
  let client: TestClient
  let stranger: TestClient
  beforeAll(async () => {
    app = await startApp({ kind, env: { MAX_STORED_BYTES_PER_USER: '20000' } })
    user = await app.register()
    client = await app.connect('legacy', user.accessToken)
    stranger = await app.connect('modern', (await app.register()).accessToken)
  })
  afterAll(() => app.close())

  const error = ({ structured }: Answer) => structured.error
  const update = (args: Record<string, unknown>, by = client) =>
    by.call('update_conversation', args)
  const begin = async (message = 'Hello.') =>
    (await client.call('send_message', { message })).structured.data.conversation_id as string
  const list = async (args: Record<string, unknown> = {}) =>
    (await client.call('get_conversations', { limit: 200, ...args })).structured
  const ids = async (filter?: string) => {
    const { conversations, total } = await list(filter === undefined ? {} : { filter })
    const found = (conversations as { id: string }[]).map(({ id }) => id)
    expect(total, 'the total counts what the filter finds').toBe(found.length)
    return found
  }
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  test('renames, and nothing renames it again', async () => {
    const id = await begin('the first words')
    const { structured } = await update({ conversation_id: id, title: '  Plans for May ' })
    expect(structured.data).toMatchObject({
      id,
      title: 'Plans for May',
      role: 'owner',
      owner: user.username,
      archived: false,
      shared: false,
      branched_from: null,
      has_system_prompt: false,
      message_count: 2,
    })
    await client.call('send_message', { conversation_id: id, message: 'more words' })
    const { conversations } = await list()
    expect(conversations.find((row: { id: string }) => row.id === id).title).toBe('Plans for May')
    expect(await drift()).toEqual([])
  })

  test('does not move it in the list', async () => {
    const [older, newer] = [await begin(), await begin()]
    await update({ conversation_id: older, title: 'still older' })
    const found = await ids()
    expect(found.indexOf(newer)).toBeLessThan(found.indexOf(older))
  })

  test('archives, and a message takes it back', async () => {
    const id = await begin()
    const archived = (await update({ conversation_id: id, archived: true })).structured
    expect(archived.data.archived).toBe(true)
    expect(await ids()).not.toContain(id)
    expect(await ids('mine')).not.toContain(id)
    expect(await ids('archived')).toEqual([id])
    expect(await ids('all')).toContain(id)
    expect(await ids('shared')).toEqual([])
    await client.call('send_message', { conversation_id: id, message: 'again' })
    expect(await ids()).toContain(id)
    expect(await ids('archived')).toEqual([])

    await update({ conversation_id: id, archived: true })
    await update({ conversation_id: id, archived: false })
    expect(await ids()).toContain(id)
  })

  test.each(['archived', 'all'])('pages of %s are complete and repeat nothing', async (filter) => {
    for (let made = 0; made < 3; made++) {
      await update({ conversation_id: await begin(), archived: true })
    }
    const whole = await ids(filter)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: ReturnType<typeof JSON.parse> = await list({
        filter,
        limit: 2,
        ...(cursor === null ? {} : { cursor }),
      })
      seen.push(...page.conversations.map(({ id }: { id: string }) => id))
      cursor = page.next_cursor
    } while (cursor !== null)
    expect(seen).toEqual(whole)
    const byOffset = await list({ filter, limit: 2, offset: 1 })
    expect(byOffset.conversations.map(({ id }: { id: string }) => id)).toEqual(whole.slice(1, 3))
  })

  test('sets the system prompt, and null removes it', async () => {
    const id = await begin()
    const set = await update({ conversation_id: id, system_prompt: 'Answer in French.' })
    expect(set.structured.data.has_system_prompt).toBe(true)
    const sentOf = async () => {
      await client.call('send_message', { conversation_id: id, message: 'and?' })
      return JSON.stringify(app.claude.messageRequests().at(-1)?.body)
    }
    expect(await sentOf()).toContain('Answer in French.')
    for (const none of [null, '  ']) {
      await update({ conversation_id: id, system_prompt: 'Answer in French.' })
      const removed = await update({ conversation_id: id, system_prompt: none })
      expect(removed.structured.data.has_system_prompt).toBe(false)
      expect(await sentOf()).not.toContain('Answer in French.')
    }
    expect(await drift()).toEqual([])
  })

  test('refuses what has no room, and stores nothing of it', async () => {
    const id = await begin()
    const full = await update({
      conversation_id: id,
      title: 'would be new',
      system_prompt: 'x'.repeat(30_000),
    })
    expect(error(full).code).toBe('storage_full')
    const { conversations } = await list()
    expect(conversations.find((row: { id: string }) => row.id === id).title).toBe('Hello.')
    expect(await drift()).toEqual([])
  })

  test('refuses a call that changes nothing, and a blank title', async () => {
    const id = await begin()
    expect(error(await update({ conversation_id: id }))).toMatchObject({
      code: 'invalid_input',
      details: {
        fields: ['title', 'archived', 'hidden', 'system_prompt', 'payer', 'payers', 'team'],
      },
    })
    expect(error(await update({ conversation_id: id, title: ' \u200b ' }))).toMatchObject({
      code: 'invalid_input',
      details: { fields: ['title'] },
    })
  })

  test('of another user, and of none, is not found alike', async () => {
    const id = await begin()
    const errors = await Promise.all(
      [id, newId()].map(async (conversation_id) =>
        error(await update({ conversation_id, title: 'taken' }, stranger)),
      ),
    )
    expect(errors[0]).toMatchObject({ code: 'not_found' })
    expect(errors[0]).toEqual(errors[1])
  })
})
