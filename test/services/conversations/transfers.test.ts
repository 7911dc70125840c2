/** A conversation passes to a contributor, with all that counts for its owner. */

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { newId } from '../../../src/crypto/random.ts'
import { MAX_WITH_EVERYBODY } from '../../../src/services/conversations/sharing/recipient-limit.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam } from '../../support/teams.ts'

const NAMES = ['ada', 'bob', 'cyd'] as const
type Name = (typeof NAMES)[number]
/** Room for some messages of a few words, and not for a long one. */
const MAX_STORED_BYTES = 100_000

describeDatabases('giving a conversation away', (kind) => {
  let app: TestApp
  let users: Record<Name, TestUser>
  let clients: Record<Name, TestClient>

  beforeAll(async () => {
    app = await startApp({
      kind,
      env: { MAX_STORED_BYTES_PER_USER: String(MAX_STORED_BYTES) },
    })
  })
  afterAll(() => app.close())
  beforeEach(async () => {
    app.claude.reset()
    const made = await Promise.all(NAMES.map(() => app.register()))
    users = Object.fromEntries(NAMES.map((name, at) => [name, made[at]])) as typeof users
    const connected = await Promise.all(
      made.map(({ accessToken }) => app.connect('modern', accessToken)),
    )
    clients = Object.fromEntries(NAMES.map((name, at) => [name, connected[at]])) as typeof clients
  })

  const call = async (by: Name, tool: string, args: Record<string, unknown> = {}) =>
    (await clients[by].call(tool, args)).structured
  const begin = async (by: Name, message: string): Promise<string> =>
    (await call(by, 'send_message', { message })).data.conversation_id
  const share = async (by: Name, id: string, to: object | string, role = 'contributor') =>
    (await call(by, 'share_conversation', { conversation_id: id, with: to, role })).data.share_id
  const shareWith = async (by: Name, id: string, name: Name, role = 'contributor') => {
    const shareId = await share(by, id, { username: users[name].username }, role)
    await app.app.services.sharing.accept(await callerOf(app, users[name]), shareId)
    return shareId as string
  }
  const give = async (by: Name, shareId: string) =>
    app.app.services.transfers.transfer(await callerOf(app, users[by]), shareId)
  const codeOf = (giving: Promise<unknown>) =>
    giving.then(
      () => undefined,
      (error) => error.code,
    )
  const ownOf = async (name: Name): Promise<string[]> => {
    const { conversations } = await call(name, 'get_conversations', { filter: 'mine' })
    return conversations.map(({ id }: { id: string }) => id)
  }
  const bytesOf = (name: Name) => app.app.repositories.storage.bytes(users[name].userId)
  const roleOf = async (name: Name, id: string) =>
    (await app.app.repositories.conversationHeads.find(id, users[name].userId))?.role

  test('moves what is counted for the owner, and keeps who wrote what', async () => {
    const id = await begin('ada', 'words of ada')
    const shareId = await shareWith('ada', id, 'bob')
    await shareWith('ada', id, 'cyd', 'viewer')
    await call('bob', 'send_message', { conversation_id: id, message: 'words of bob' })
    const [bytes, none] = [await bytesOf('ada'), await bytesOf('bob')]
    await give('ada', shareId)

    expect([await bytesOf('ada'), await bytesOf('bob')]).toEqual([none, bytes])
    expect(await call('ada', 'get_conversations', { filter: 'mine' })).toMatchObject({ total: 0 })
    expect(await call('bob', 'get_conversations', { filter: 'mine' })).toMatchObject({ total: 1 })
    const roles = await Promise.all(NAMES.map((name) => roleOf(name, id)))
    expect(roles).toEqual(['contributor', 'owner', 'viewer'])
    const { messages } = await call('cyd', 'get_conversation_history', { conversation_id: id })
    expect(messages.map((row: Record<string, string>) => [row.author, row.content])).toEqual([
      [users.ada.username, 'words of ada'],
      [null, expect.any(String)],
      [users.bob.username, 'words of bob'],
      [null, expect.any(String)],
    ])
    const { userId } = users.ada
    const event = await app.app.db
      .selectFrom('auditEvents')
      .select(['action', 'detail'])
      .where('actorId', '=', userId)
      .where('action', '=', 'conversation.transferred')
      .executeTakeFirstOrThrow()
    expect(JSON.parse(String(event.detail))).toEqual({ from: userId, to: users.bob.userId })
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
  })

  test('an idempotency key finds its answer on both sides of it', async () => {
    const id = await begin('ada', 'before')
    const shareId = await shareWith('ada', id, 'bob')
    const once = { conversation_id: id, message: 'once', idempotency_key: newId() }
    const first = await call('ada', 'send_message', once)
    await give('ada', shareId)
    const again = await call('ada', 'send_message', once)
    expect(again.data.message_id).toBe(first.data.message_id)
    const others = await call('bob', 'send_message', once)
    expect(others.data.message_id).not.toBe(first.data.message_id)
  })

  test('only its owner gives it, and only to a contributor', async () => {
    const id = await begin('ada', 'mine')
    const viewing = await shareWith('ada', id, 'bob', 'viewer')
    const contributing = await shareWith('ada', id, 'cyd')
    expect(await codeOf(give('cyd', contributing))).toBe('not_found')
    expect(await codeOf(give('bob', contributing))).toBe('not_found')
    expect(await codeOf(give('ada', viewing))).toBe('share_refused')
    expect(await codeOf(give('ada', await share('ada', id, 'everybody', 'viewer')))).toBe(
      'not_found',
    )
    const offered = await share('ada', await begin('ada', 'another'), {
      username: users.bob.username,
    })
    expect(await codeOf(give('ada', offered))).toBe('share_refused')
    await app.app.repositories.users.setSuspended(users.cyd.userId, true)
    expect(await codeOf(give('ada', contributing))).toBe('share_refused')
    expect(await roleOf('ada', id)).toBe('owner')
  })

  test('what belongs to a team stays with its members', async () => {
    const team = await newTeam(app, [users.ada])
    const id = await begin('ada', 'of the team')
    await app.app.db
      .updateTable('conversations')
      .set({ teamId: team.id })
      .where('id', '=', id)
      .execute()
    const shareId = await shareWith('ada', id, 'bob')
    expect(await codeOf(give('ada', shareId))).toBe('share_refused')
    await app.app.services.teamMembers.add(users.bob.userId, team.id, 'member')
    expect(await codeOf(give('ada', shareId))).toBeUndefined()
    expect(await roleOf('bob', id)).toBe('owner')
  })

  test('not while Claude answers in it, nor beyond the room of its new owner', async () => {
    const id = await begin('ada', 'a conversation')
    const shareId = await shareWith('ada', id, 'bob')
    app.claude.script({ kind: 'stream_stall', afterChunks: 1 })
    const unfinished = { conversation_id: id, message: 'go on', wait_seconds: 0 }
    const { message_id } = (await call('ada', 'send_message', unfinished)).data
    expect(await codeOf(give('ada', shareId))).toBe('conversation_busy')
    await call('ada', 'cancel_message', { message_id })

    await begin('bob', 'x'.repeat(MAX_STORED_BYTES - 10_000))
    await call('ada', 'send_message', { conversation_id: id, message: 'y'.repeat(20_000) })
    const before = await Promise.all([bytesOf('ada'), bytesOf('bob')])
    expect(await codeOf(give('ada', shareId))).toBe('share_refused')
    expect(await Promise.all([bytesOf('ada'), bytesOf('bob')])).toEqual(before)
    expect(await roleOf('ada', id)).toBe('owner')
  })

  test('not to one who shares as many with everybody as one may', async () => {
    const everybody = async (by: Name) => {
      const id = await begin(by, 'for everybody')
      await share(by, id, 'everybody', 'viewer')
      return id
    }
    for (let count = 0; count < MAX_WITH_EVERYBODY; count++) await everybody('bob')
    const id = await everybody('ada')
    const shareId = await shareWith('ada', id, 'bob')
    expect(await codeOf(give('ada', shareId))).toBe('share_refused')
    await call('bob', 'delete_conversation', { conversation_id: (await ownOf('bob'))[0] })
    expect(await codeOf(give('ada', shareId))).toBeUndefined()
  })

  test('given by two calls at once, it has one owner', async () => {
    const id = await begin('ada', 'for one')
    const shares = [await shareWith('ada', id, 'bob'), await shareWith('ada', id, 'cyd')]
    const codes = await Promise.all(shares.map((shareId) => codeOf(give('ada', shareId))))
    expect(codes.map(String).sort()).toEqual(['not_found', 'undefined'])
    const roles = await Promise.all(NAMES.map((name) => roleOf(name, id)))
    expect(roles.sort()).toEqual(['contributor', 'contributor', 'owner'])
  })
})
