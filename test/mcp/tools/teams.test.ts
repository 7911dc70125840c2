/** Teams by tool: who is let in, by invitations, and what members are given through them. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { lockWaiters } from '../../support/lock-waiters.ts'
import {
  type Answer,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'

type Member = TestUser & { client: TestClient; caller: Caller }
type Called = Promise<Answer>

describeDatabases('by tool, a team', (kind) => {
  let app: TestApp
  let [ada, bob, cyd] = [] as unknown as [Member, Member, Member]

  const person = async (): Promise<Member> => {
    const user = await app.register()
    const caller = await app.app.services.sessions.resolve(user.accessToken)
    return { ...user, caller, client: await app.connect('legacy', user.accessToken) }
  }

  beforeAll(async () => {
    app = await startApp({ kind, env: { REGISTRATION: 'open' } })
    ;[ada, bob, cyd] = [await person(), await person(), await person()]
  })
  beforeEach(() => app.claude.reset())
  afterAll(() => app.close())

  let count = 0
  const newTeam = async () => {
    const name = `Crew ${++count}`
    await manage(ada, { team: name, action: 'create' })
    return name
  }
  const manage = ({ client }: Member, args: Record<string, unknown>) =>
    client.call('manage_team', args)
  const dataOf = async (call: Called) => (await call).structured.data
  const codeOf = async (call: Called) => (await call).structured.error?.code ?? 'ok'
  const invite = async (by: Member, team: string, more = {}): Promise<string> => {
    const { invitation } = await dataOf(manage(by, { team, action: 'invite', ...more }))
    return new URL(invitation.url).searchParams.get('invitation') as string
  }
  const { accept, look } = {
    accept: ({ caller }: Member, token: string) =>
      app.app.services.invitations.accept(caller, token),
    look: (token: string) => app.app.services.invitations.look(token),
  }
  const join = async (member: Member, team: string, role = 'member') =>
    accept(member, await invite(ada, team, { role }))
  const namesIn = async (by: Member, team: string): Promise<string[]> =>
    (await dataOf(by.client.call('get_teams', { team }))).members.map(
      ({ username, role }: { username: string; role: string }) => `${username} ${role}`,
    )
  const unusable = { code: 'not_found', message: expect.stringMatching(/^This invitation cannot/) }

  test('is made, filled by invitations, and shown with roles', async () => {
    const team = await newTeam()
    await join(bob, team, 'admin')
    await accept(cyd, await invite(bob, team))
    expect((await namesIn(cyd, team)).sort()).toEqual(
      [`${ada.username} owner`, `${bob.username} admin`, `${cyd.username} member`].sort(),
    )
    // The tool has no other argument that holds the name of a new team.
    for (const wrong of ['ab', team.toUpperCase()]) {
      const { error } = (await manage(ada, { team: wrong, action: 'create' })).structured
      expect(error).toMatchObject({
        message: expect.stringMatching(/^team /),
        details: { field: 'team' },
      })
    }
    const { teams } = await dataOf(cyd.client.call('get_teams'))
    expect(teams).toMatchObject([{ name: team, role: 'member', member_count: 3, archived: false }])
    const set = { team, action: 'set_role', username: cyd.username, role: 'admin' }
    expect(await codeOf(manage(bob, set))).toBe('forbidden')
    expect(await codeOf(manage(ada, set))).toBe('ok')
    expect(await codeOf(manage(ada, { team, action: 'set_role', role: 'admin' }))).toBe(
      'invalid_input',
    )
  })

  test('hands out an invitation that works once, changes nothing when it is looked at, and is hidden from members', async () => {
    const team = await newTeam()
    await join(cyd, team)
    const token = await invite(ada, team)
    for (let i = 0; i < 20; i++)
      expect(await look(token)).toMatchObject({ team, teamRole: 'member' })
    const shown = await dataOf(ada.client.call('get_teams', { team }))
    expect(shown.invitations).toHaveLength(1)
    expect((await dataOf(cyd.client.call('get_teams', { team }))).invitations).toEqual([])
    expect(JSON.stringify(shown)).not.toContain(token)
    const dan = await person()
    const both = await Promise.allSettled([accept(bob, token), accept(dan, token)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await look(token)).toBeUndefined()
    await expect(accept(await person(), token)).rejects.toMatchObject(unusable)
  })

  test('lets nobody in by an invitation that has ended, was taken back, or was never one', async () => {
    const team = await newTeam()
    const [ended, revoked] = [await invite(ada, team), await invite(ada, team)]
    const { db } = app.app
    await sql`update invitations set expires_at = now() where id = (
      select id from invitations where team_id = (select id from teams where name = ${team})
      order by created_at limit 1)`.execute(db)
    const { invitations } = await dataOf(ada.client.call('get_teams', { team }))
    const back = { team, action: 'revoke_invitation', invitation_id: invitations[0].invitation_id }
    expect(await codeOf(manage(ada, back))).toBe('ok')
    const again = (await manage(ada, back)).structured.error
    expect(again).toMatchObject({ code: 'not_found', details: { field: 'invitation_id' } })
    for (const token of [ended, revoked, 'invite_unknown', '']) {
      await expect(accept(bob, token)).rejects.toMatchObject(unusable)
      expect(await look(token)).toBeUndefined()
    }
  })

  test('lets in only whom the invitation names', async () => {
    const team = await newTeam()
    const named = await invite(ada, team, { username: cyd.username.toUpperCase() })
    await expect(accept(bob, named)).rejects.toMatchObject(unusable)
    await accept(cyd, named)
    // An address that nobody confirmed proves nothing.
    const [{ email }] = (await app.app.db
      .selectFrom('users')
      .select('email')
      .where('id', '=', bob.userId)
      .execute()) as [{ email: string }]
    const addressed = await invite(ada, team, { email })
    await expect(accept(bob, addressed)).rejects.toMatchObject(unusable)
    const both = { team, action: 'invite', username: bob.username, email }
    expect(await codeOf(manage(ada, both))).toBe('invalid_input')
    expect(await codeOf(manage(ada, { team, action: 'invite', expires_in_days: 8 }))).toBe(
      'invalid_input',
    )
  })

  test('sinks no role, and lets nobody in for more than the inviter may still give', async () => {
    const team = await newTeam()
    await join(bob, team, 'owner')
    const byBob = await invite(bob, team, { role: 'owner' })
    const low = await invite(ada, team, { role: 'member' })
    await expect(accept(bob, low)).rejects.toMatchObject(unusable)
    await expect(accept(bob, byBob)).rejects.toMatchObject(unusable)
    await manage(ada, { team, action: 'set_role', username: bob.username, role: 'admin' })
    await expect(accept(cyd, byBob)).rejects.toMatchObject(unusable)
    await manage(ada, { team, action: 'set_role', username: bob.username, role: 'owner' })
    await accept(cyd, byBob)
    expect(await namesIn(ada, team)).toContain(`${bob.username} owner`)
    await manage(ada, { team, action: 'remove', username: bob.username })
    expect(await codeOf(manage(cyd, { team, action: 'invite', role: 'owner' }))).toBe('ok')
  })

  test('lets no admin invite another admin', async () => {
    const team = await newTeam()
    await join(bob, team, 'admin')
    for (const role of ['admin', 'owner']) {
      expect(await codeOf(manage(bob, { team, action: 'invite', role }))).toBe('forbidden')
    }
    await join(cyd, team)
    expect(await codeOf(manage(cyd, { team, action: 'invite' }))).toBe('forbidden')
  })

  test('has a bounded number of open invitations', async () => {
    const team = await newTeam()
    const made = await Promise.all(
      Array.from({ length: 103 }, () => codeOf(manage(ada, { team, action: 'invite' }))),
    )
    expect(made.filter((code) => code === 'ok')).toHaveLength(100)
    expect(new Set(made)).toEqual(new Set(['ok', 'invalid_input']))
  })

  test('makes an account by invitation while registration is closed, and for no other', async () => {
    const closed = await startApp({ kind, env: { REGISTRATION: 'closed' } })
    try {
      const { services } = closed.app
      await services.userAdministration.add({ username: 'root', email: 'root@example.com' })
      const { users } = closed.app.repositories
      const root = await users.findByUsername('root')
      const { id } = await services.teams.add(root?.id ?? '', 'Founders')
      const inviteTo = async (more = {}) => {
        const { url } = await services.invitations.create('operator', id, {
          role: 'admin',
          ...more,
        })
        return new URL(url).searchParams.get('invitation') as string
      }
      const wanted = (name: string, invitation?: string) => ({
        username: name,
        email: `${name}@example.com`,
        password: 'four words that rhyme',
        invitation,
      })
      await expect(services.accounts.signUp(wanted('eve'))).rejects.toMatchObject({
        code: 'registration_closed',
      })
      const addressed = await inviteTo({ email: 'Eve@example.com' })
      for (const [name, token] of [
        ['eve', 'invite_none'],
        ['dan', addressed],
      ] as const) {
        await expect(services.accounts.signUp(wanted(name, token))).rejects.toMatchObject(unusable)
        expect(await users.findByUsername(name)).toBeUndefined()
      }
      const { userId } = await services.accounts.signUp(wanted('eve', addressed), '192.0.2.0/24')
      expect(await closed.app.repositories.teamMembers.roleOf(id, userId)).toBe('admin')
      await expect(services.accounts.signUp(wanted('fay', addressed))).rejects.toMatchObject(
        unusable,
      )
      const taken = await inviteTo()
      await expect(services.accounts.signUp(wanted('root', taken))).rejects.toMatchObject({
        code: 'username_taken',
      })
      expect(await services.invitations.look(taken)).toBeDefined()
    } finally {
      await closed.close()
    }
  })

  const shared = async (team: string, role: 'viewer' | 'contributor') => {
    const sent = await dataOf(ada.client.call('send_message', { message: 'for the crew' }))
    const args = { conversation_id: sent.conversation_id, with: { team }, role }
    const share = await dataOf(ada.client.call('share_conversation', args))
    return { id: sent.conversation_id as string, share }
  }
  const read = ({ client }: Member, conversation_id: string) =>
    client.call('get_conversation_history', { conversation_id })
  const send = ({ client }: Member, conversation_id: string, more = {}) =>
    client.call('send_message', { conversation_id, message: 'from the crew', ...more })
  const listed = async ({ client }: Member): Promise<string[]> =>
    (await client.call('get_conversations', { filter: 'shared' })).structured.conversations.map(
      ({ id }: { id: string }) => id,
    )

  test('is a recipient: its members have what it is given at once, and nobody else', async () => {
    const team = await newTeam()
    await join(bob, team)
    const { id, share } = await shared(team, 'contributor')
    expect(share).toMatchObject({ with: null, team, pending: false })
    expect(await codeOf(read(bob, id))).toBe('ok')
    expect(await codeOf(send(bob, id))).toBe('ok')
    expect(await listed(bob)).toContain(id)
    expect((await dataOf(bob.client.call('get_shares'))).received).toMatchObject([
      { conversation_id: id, team, with: null, state: 'active' },
    ])
    expect(await codeOf(read(cyd, id))).toBe('not_found')
    expect(await codeOf(send(cyd, id))).toBe('not_found')
    expect(await listed(cyd)).not.toContain(id)
    const end = { share_id: share.share_id }
    expect(await codeOf(bob.client.call('revoke_share', end))).toBe('forbidden')
    expect(await codeOf(cyd.client.call('revoke_share', end))).toBe('not_found')
    // Of the team, not of the person: whoever comes later has it too.
    await join(cyd, team)
    expect(await codeOf(read(cyd, id))).toBe('ok')
  })

  test.each(['removed', 'left', 'archived', 'revoked'])(
    'that a member has %s gives nothing from the very next call on',
    async (how) => {
      const team = await newTeam()
      const dan = await person()
      await join(dan, team)
      const { id, share } = await shared(team, 'contributor')
      expect(await codeOf(send(dan, id))).toBe('ok')
      if (how === 'archived') await app.app.services.teams.archive(ada.caller, team)
      else if (how === 'revoked')
        await ada.client.call('revoke_share', { share_id: share.share_id })
      else {
        const by = how === 'left' ? dan : ada
        await manage(by, { team, action: 'remove', username: dan.username })
      }
      expect(await codeOf(read(dan, id))).toBe('not_found')
      expect(await codeOf(send(dan, id))).toBe('not_found')
      expect(await listed(dan)).toEqual([])
    },
  )

  test("stops the answer that a removed member waits for, which is booked, and the owner's not", async () => {
    const team = await newTeam()
    const dan = await person()
    await join(dan, team)
    const { id } = await shared(team, 'contributor')
    app.claude.script({ kind: 'delay', delayMs: 60_000 })
    const sending = send(dan, id, { wait_seconds: 30 })
    await expect.poll(() => app.claude.messageRequests().length).toBe(2)
    await manage(ada, { team, action: 'remove', username: dan.username })
    expect(await codeOf(sending)).toBe('access_ended')
    const { rows } = await sql`
      select from ledger where user_id = ${dan.userId} and conversation_id = ${id}`.execute(
      app.app.db,
    )
    expect(rows).toHaveLength(1)
    expect(await codeOf(send(ada, id))).toBe('ok')
  })

  test('a member who is removed while their turn begins does not begin it', async () => {
    const team = await newTeam()
    const dan = await person()
    await join(dan, team)
    const { id } = await shared(team, 'contributor')
    const { db } = app.app
    if (kind === 'embedded') return expect(await codeOf(send(dan, id))).toBe('ok')
    let sending: Promise<string> | undefined
    await db.transaction().execute(async (tx) => {
      await sql`select from teams where name = ${team} for no key update`.execute(tx)
      sending = codeOf(send(dan, id))
      await expect.poll(() => lockWaiters(db)).toBeGreaterThan(0)
      await sql`delete from team_members where user_id = ${dan.userId}`.execute(tx)
    })
    expect(await sending).toBe('not_found')
  })

  test('takes conversations of its members only, unless its owner lets others share', async () => {
    const team = await newTeam()
    const { conversation_id } = await dataOf(bob.client.call('send_message', { message: 'hello' }))
    const args = { conversation_id, with: { team }, role: 'viewer' }
    const asBob = () => codeOf(bob.client.call('share_conversation', args))
    expect(await asBob()).toBe('not_found')
    await app.app.services.teams.change(ada.caller, team, { sharesFrom: 'anyone' })
    expect(await asBob()).toBe('ok')
    await app.app.services.teams.change(ada.caller, team, { sharesFrom: 'nobody' })
    await join(bob, team)
    expect(await asBob()).toBe('not_found')
  })

  test('makes teammates, whose offers a person may accept alone', async () => {
    const team = await newTeam()
    const dan = await person()
    await app.app.services.sharing.setSharesFrom(dan.caller, 'teammates')
    const { conversation_id } = await dataOf(ada.client.call('send_message', { message: 'hello' }))
    const args = { conversation_id, with: { username: dan.username }, role: 'viewer' }
    expect(await codeOf(ada.client.call('share_conversation', args))).toBe('not_found')
    await join(dan, team)
    expect(await codeOf(ada.client.call('share_conversation', args))).toBe('ok')
  })

  test('is neither seen nor changed without the permission', async () => {
    const team = await newTeam()
    const reading = await app.app.services.personalTokens.create(ada.caller, {
      name: `reader ${count}`,
      scopes: ['teams:read'],
      expiresAt: new Date(Date.now() + 3_600_000),
    })
    const client = await app.connect('modern', reading.token)
    expect(await codeOf(client.call('get_teams', { team }))).toBe('ok')
    await expect(client.call('manage_team', { team, action: 'invite' })).rejects.toThrow(
      /teams:manage/,
    )
  })
})
