/** What becomes of conversations that others take part in when a user deletes their account. */

import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { dumpTables, placesOf } from '../../security/at-rest.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'
import { callerOf, newTeam, type TestTeam } from '../../support/teams.ts'

const NAMES = ['bob', 'ada', 'cyd', 'dan'] as const
type Name = (typeof NAMES)[number]

describeDatabases('the departure of a user', (kind) => {
  let app: TestApp
  let users: Record<Name, TestUser>
  let clients: Record<Name, TestClient>
  let team: TestTeam

  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  const newPeople = async () => {
    const made = await Promise.all(NAMES.map(() => app.register()))
    users = Object.fromEntries(NAMES.map((name, at) => [name, made[at]])) as typeof users
    const connected = await Promise.all(
      made.map(({ accessToken }) => app.connect('modern', accessToken)),
    )
    clients = Object.fromEntries(NAMES.map((name, at) => [name, connected[at]])) as typeof clients
    team = await newTeam(app, made)
  }
  beforeEach(async () => {
    app.claude.reset()
    await newPeople()
  })

  const call = async (by: Name, tool: string, args: Record<string, unknown> = {}) =>
    (await clients[by].call(tool, args)).structured
  const send = async (by: Name, message: string, more: object = {}) =>
    (await call(by, 'send_message', { message, ...more })).data.conversation_id as string
  const historyOf = (by: Name, conversation_id: string) =>
    call(by, 'get_conversation_history', { conversation_id })
  const share = async (id: string, to: object | string, role = 'contributor', by: Name = 'ada') =>
    (await call(by, 'share_conversation', { conversation_id: id, with: to, role })).data.share_id
  const accept = async (name: Name, shareId: string) =>
    app.app.services.sharing.accept(await callerOf(app, users[name]), shareId)
  const shareWith = async (name: Name, id: string, role = 'contributor', by: Name = 'ada') =>
    accept(name, await share(id, { username: users[name].username }, role, by))
  const giveToTeam = (id: string, { id: teamId }: TestTeam = team) =>
    app.app.db.updateTable('conversations').set({ teamId }).where('id', '=', id).execute()
  const remove = async (name: Name, isWithdrawing = false) =>
    app.app.services.accounts.delete(await callerOf(app, users[name]), users[name].password, {
      isWithdrawing,
    })
  /** Of those who have an account: a deleted user reads nothing, though everybody may. */
  const rolesOf = async (id: string) => {
    const roles: Partial<Record<Name, string>> = {}
    const ids = NAMES.map((name) => users[name].userId)
    const { rows } = await sql<{ id: string }>`
      select id from users where id = any(${ids}::uuid[])`.execute(app.app.db)
    for (const name of NAMES.filter((name) => rows.some(({ id }) => id === users[name].userId))) {
      const head = await app.app.repositories.conversationHeads.find(id, users[name].userId)
      if (head !== undefined) roles[name] = head.role
    }
    return roles
  }
  const eventsOf = async (chain: string) => {
    const { rows } = await sql<{ action: string; targetId: string; detail: string }>`
      select action, target_id, detail from audit_events where chain = ${chain}::uuid
      order by seq`.execute(app.app.db)
    return rows
  }
  const drift = () => app.app.repositories.ledgerAudit.listDrift()

  test('leaves what a team keeps to the member who has contributed for longest', async () => {
    const id = await send('ada', 'words of ada')
    await giveToTeam(id)
    await shareWith('cyd', id)
    await shareWith('dan', id)
    await shareWith('bob', id, 'viewer')
    await send('cyd', 'words of cyd', { conversation_id: id })
    const before = (await eventsOf(team.id)).length
    await remove('ada')

    expect(await rolesOf(id)).toEqual({ cyd: 'owner', dan: 'contributor', bob: 'viewer' })
    const { messages, total } = await historyOf('cyd', id)
    expect(total).toBe(4)
    expect(messages.map((row: Record<string, string>) => [row.author, row.content])).toEqual([
      [null, 'words of ada'],
      [null, expect.any(String)],
      [users.cyd.username, 'words of cyd'],
      [null, expect.any(String)],
    ])
    const listed = await call('cyd', 'get_conversations')
    expect(listed).toMatchObject({ total: 1, conversations: [{ title: 'words of ada' }] })
    await send('cyd', 'goes on', { conversation_id: id })
    await send('dan', 'so does dan', { conversation_id: id })
    const found = await call('cyd', 'search_conversations', { query: '"words of ada"' })
    expect(found.data.hits.length).toBeGreaterThan(0)
    await call('cyd', 'update_conversation', { conversation_id: id, title: 'of cyd now' })
    const events = (await eventsOf(team.id)).slice(before)
    expect(events.map(({ action, targetId }) => [action, targetId])).toEqual([
      ['conversation.transferred', id],
      ['member.left', users.ada.userId],
    ])
    expect(JSON.parse(events[0]?.detail ?? '')).toEqual({
      from: users.ada.userId,
      to: users.cyd.userId,
    })
    expect(await drift()).toEqual([])
    expect((await app.app.services.audit.verification.run()).faults).toEqual([])
    // Once more, from one who was not its first owner.
    await remove('cyd')
    expect(await rolesOf(id)).toEqual({ dan: 'owner', bob: 'viewer' })
    expect((await historyOf('dan', id)).total).toBe(8)
    expect(await drift()).toEqual([])
  })

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['it belongs to no team', async (id) => giveToTeam(id, { ...team, id: null as never })],
    [
      'the team does not keep them',
      async () =>
        app.app.services.teams.change(await callerOf(app, users.bob), team.id, {
          onDeparture: 'delete',
        }),
    ],
    [
      'its owner left the team',
      async () =>
        app.app.services.teamMembers.remove(
          await callerOf(app, users.ada),
          team.id,
          users.ada.username,
        ),
    ],
    [
      'the team is archived',
      async () => app.app.services.teams.archive(await callerOf(app, users.bob), team.id),
    ],
    [
      'its contributor left the team',
      async () =>
        app.app.services.teamMembers.remove(
          await callerOf(app, users.cyd),
          team.id,
          users.cyd.username,
        ),
    ],
    [
      'its contributor is suspended',
      async () => app.app.services.userAdministration.suspend('operator', users.cyd.username),
    ],
    [
      'its contributor became a viewer',
      async (id) => share(id, { username: users.cyd.username }, 'viewer'),
    ],
    ['its contributor left it', async (id) => endShareOf('cyd', id)],
    [
      'its contributor’s share has ended',
      async (id) =>
        sql`update conversation_grants set expires_at = now() where conversation_id = ${id}::uuid`.execute(
          app.app.db,
        ),
    ],
  ])('deletes what belongs to a team when %s', async (_why, change) => {
    const id = await send('ada', 'gone')
    await giveToTeam(id)
    await shareWith('cyd', id)
    await shareWith('bob', id, 'viewer')
    await share(id, { username: users.dan.username })
    await change(id)
    await remove('ada')
    expect(await rolesOf(id)).toEqual({})
    expect(await drift()).toEqual([])
  })

  const endShareOf = async (name: Name, id: string) => {
    const { data } = await call(name, 'get_shares', { conversation_id: id })
    return call(name, 'revoke_share', { share_id: data.received[0].share_id })
  }

  test('counts a share with the team from the day on that a member came', async () => {
    const id = await send('ada', 'of the team')
    await giveToTeam(id)
    await share(id, { team: team.name })
    await sql`update team_members set added_at = now() + interval '1 hour'
      where user_id <> ${users.dan.userId}::uuid`.execute(app.app.db)
    await remove('ada')
    expect(await rolesOf(id)).toEqual({ dan: 'owner', bob: 'contributor', cyd: 'contributor' })
  })

  test('ends links that need no account, and no others', async () => {
    const id = await send('ada', 'of the team')
    await giveToTeam(id)
    await shareWith('cyd', id)
    await call('ada', 'share_conversation', {
      conversation_id: id,
      with: { link: 'signed-in' },
      role: 'viewer',
    })
    await sql`insert into conversation_links (id, token_hash, conversation_id, audience,
        through_position, created_by, expires_at)
      select gen_random_uuid(), 'public', conversation_id, 'public', 2, created_by, expires_at
      from conversation_links where conversation_id = ${id}::uuid`.execute(app.app.db)
    await remove('ada')
    const { rows } = await sql`
      select audience from conversation_links where conversation_id = ${id}::uuid`.execute(
      app.app.db,
    )
    expect(rows).toEqual([{ audience: 'everybody' }])
    expect((await call('cyd', 'get_shares', { conversation_id: id })).data.links).toHaveLength(1)
  })

  test('leaves what they wrote to others without their name, or takes its text back', async () => {
    const mine = 'a-canary-of-ada'
    app.claude.setReply(() => 'an answer')
    const id = await send('dan', 'words of dan')
    await shareWith('ada', id, 'contributor', 'dan')
    await send('ada', `${mine} first`, { conversation_id: id, tag: 'label-of-ada' })
    await send('ada', `${mine} second`, { conversation_id: id })
    expect(await app.app.services.departure.foresee(users.ada.userId)).toEqual({
      messagesElsewhere: 2,
      handedOver: 0,
      deletedOfTeams: 0,
    })
    await remove('ada', true)
    const { messages } = await historyOf('dan', id)
    expect(messages.map((row: Record<string, string>) => [row.author, row.content])).toEqual([
      [users.dan.username, 'words of dan'],
      [null, expect.any(String)],
      [null, '(withdrawn)'],
      [null, expect.any(String)],
      [null, '(withdrawn)'],
      [null, expect.any(String)],
    ])
    const found = await call('dan', 'search_conversations', { query: mine })
    expect(found.data.hits).toEqual([])
    const asked = app.claude.messageRequests().length
    await send('dan', 'what was that?', { conversation_id: id })
    const [request] = app.claude.messageRequests().slice(asked)
    expect(JSON.parse(request?.body ?? '').messages.map(textOf)).toContain('(withdrawn)')
    expect(
      JSON.parse(request?.body ?? '')
        .messages.map(textOf)
        .join(),
    ).not.toContain(mine)
    expect(await drift()).toEqual([])
    const dump = await dumpTables(app.app.db)
    expect(placesOf('label-of-ada', dump)).toEqual([])
  })

  test('leaves the text when it is not taken back', async () => {
    const id = await send('dan', 'words of dan')
    await shareWith('ada', id, 'contributor', 'dan')
    await send('ada', 'stays', { conversation_id: id })
    await endShareOf('ada', id)
    await remove('ada')
    const { messages } = await historyOf('dan', id)
    expect(messages[2]).toMatchObject({ author: null, content: 'stays' })
  })

  test('of two at once leaves the conversation to the third', async () => {
    const id = await send('ada', 'of the team')
    await giveToTeam(id)
    for (const name of ['cyd', 'dan'] as const) await shareWith(name, id)
    const ends = await Promise.allSettled([remove('ada'), remove('cyd')])
    for (const end of ends)
      if (end.status === 'rejected') expect(end.reason.code).toBe('conversation_busy')
    for (const name of ['ada', 'cyd'] as const) await remove(name).catch(() => {})
    expect(await rolesOf(id)).toEqual({ dan: 'owner' })
    expect(await drift()).toEqual([])
  })

  test('while others send, share and leave loses no message', async () => {
    for (let round = 0; round < 3; round++) {
      await newPeople()
      const id = await send('ada', 'of the team')
      await giveToTeam(id)
      await shareWith('cyd', id)
      await shareWith('dan', id)
      const sent = [1, 2].map((n) =>
        call('dan', 'send_message', { conversation_id: id, message: `while ${n}` }),
      )
      const left = endShareOf('cyd', id)
      await Promise.allSettled([remove('ada'), ...sent, left])
      await remove('ada').catch(() => {})
      const roles = await rolesOf(id)
      expect(Object.values(roles).filter((role) => role === 'owner')).toHaveLength(1)
      const owner = NAMES.find((name) => roles[name] === 'owner') as Name
      const { messages } = await historyOf(owner, id)
      expect(messages[0].content).toBe('of the team')
      expect(await drift()).toEqual([])
    }
  })

  test('gives nobody the right to read, whatever was shared with whom', async () => {
    const sharedWithEverybody = {
      keeps: true,
      belongs: true,
      shares: [{ to: 'everybody', role: 'contributor', isAccepted: false }],
    }
    const anyShare = fc.record({
      to: fc.constantFrom('bob', 'cyd', 'dan', 'team', 'everybody'),
      role: fc.constantFrom('viewer', 'contributor'),
      isAccepted: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          keeps: fc.boolean(),
          belongs: fc.boolean(),
          shares: fc.array(anyShare, { maxLength: 4 }),
        }),
        async ({ keeps, belongs, shares }) => {
          await newPeople()
          const owner = await callerOf(app, users.bob)
          await app.app.services.teams.change(owner, team.id, {
            onDeparture: keeps ? 'keep' : 'delete',
          })
          const id = await send('ada', 'words')
          if (belongs) await giveToTeam(id)
          for (const { to, role, isAccepted } of shares) {
            if (to === 'everybody') await share(id, 'everybody', role)
            else if (to === 'team') await share(id, { team: team.name }, role)
            else {
              const shareId = await share(id, { username: users[to as Name].username }, role)
              if (isAccepted) await accept(to as Name, shareId)
            }
          }
          const before = await rolesOf(id)
          await remove('ada')
          const after = await rolesOf(id)
          const contributors = NAMES.filter((name) => before[name] === 'contributor')
          if (!keeps || !belongs || contributors.length === 0) {
            expect(after).toEqual({})
            return
          }
          const heir = NAMES.find((name) => after[name] === 'owner') as Name
          expect(contributors).toContain(heir)
          const { ada: _gone, ...others } = before
          expect(after).toEqual({ ...others, [heir]: 'owner' })
          expect(await drift()).toEqual([])
        },
      ),
      { numRuns: 8, examples: [[sharedWithEverybody]] },
    )
  })
})

const textOf = ({ content }: { content: string | { text: string }[] }) =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('')
