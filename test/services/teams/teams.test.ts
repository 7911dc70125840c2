/** Teams and their members: names, roles, and the owner that a team always keeps. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { MAX_TEAMS } from '../../../src/services/teams/teams.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

describeDatabases('a team', (kind) => {
  let app: TestApp
  let [ada, bob, cyd] = [] as unknown as [Caller, Caller, Caller]

  const person = async (): Promise<Caller> =>
    app.app.services.sessions.resolve((await app.register()).accessToken)

  beforeAll(async () => {
    app = await startApp({ kind })
  })
  beforeEach(async () => {
    ;[ada, bob, cyd] = [await person(), await person(), await person()]
  })
  afterAll(() => app.close())

  const teams = () => app.app.services.teams
  const members = () => app.app.services.teamMembers
  let count = 0
  const newName = () => `Team ${++count}`
  /** Of ada's, with bob in a role, and cyd as a member. */
  const newTeam = async (role: 'owner' | 'admin' | 'member' = 'member') => {
    const { id } = await teams().create(ada, newName())
    await members().add(bob.userId, id, role)
    await members().add(cyd.userId, id, 'member')
    return id
  }
  const rolesIn = async (team: string, caller = ada) =>
    Object.fromEntries(
      (await teams().read(caller, team)).members.map(({ userId, role }) => [userId, role]),
    )

  test('belongs to the person who made it, and is found by id and by name', async () => {
    const { id, name } = await teams().create(ada, '  Data Platform ')
    expect(name).toBe('Data Platform')
    for (const team of [id, name, 'data-platform', ' DATA PLATFORM']) {
      const read = await teams().read(ada, team)
      expect(read.team).toMatchObject({ id, name, role: 'owner', members: 1, archivedAt: null })
      expect(read.members).toMatchObject([{ userId: ada.userId, role: 'owner' }])
    }
    expect(await teams().list(ada)).toMatchObject([{ id, role: 'owner' }])
    expect(await teams().list(bob)).toEqual([])
  })

  test('does not exist for those who are not in it', async () => {
    const { id, name } = await teams().create(ada, newName())
    const missing = { code: 'not_found', message: expect.stringMatching(/^You are in no team/) }
    const texts = new Set<string>()
    for (const team of [id, name, 'no such team', '00000000-0000-4000-8000-000000000000']) {
      const tries = [
        () => teams().read(bob, team),
        () => teams().rename(bob, team, newName()),
        () => teams().archive(bob, team),
        () => members().setRole(bob, team, ada.username, 'member'),
        () => members().remove(bob, team, ada.username),
      ]
      for (const act of tries) {
        const tried = act()
        await expect(tried).rejects.toMatchObject(missing)
        texts.add(await tried.then(String, String))
      }
    }
    expect(texts.size).toBe(1)
  })

  test.each(['ab', 'a'.repeat(65), 'Te\u0430m', 'two  spaces', '-team', 'a\u202eb c', 'team!'])(
    'is not called %j',
    async (name) => {
      await expect(teams().create(ada, name)).rejects.toMatchObject({
        code: 'invalid_input',
        details: { field: 'name' },
      })
    },
  )

  test('has a name that no other has, whatever stands between its words', async () => {
    const { id } = await teams().create(ada, 'Red Kite')
    const other = await teams().create(bob, newName())
    const taken = { code: 'invalid_input', details: { field: 'name' } }
    for (const name of ['red kite', 'Red-Kite', 'RED_KITE', 'red.kite']) {
      await expect(teams().create(bob, name)).rejects.toMatchObject(taken)
      await expect(teams().rename(bob, other.id, name)).rejects.toMatchObject(taken)
    }
    expect(await teams().rename(ada, id, 'Red-Kite')).toEqual({ name: 'Red-Kite' })
    await teams().archive(ada, id)
    await expect(teams().create(bob, 'red kite')).rejects.toMatchObject(taken)
  })

  test('is one of a bounded number, also when many are made at once', async () => {
    const made = await Promise.allSettled(
      Array.from({ length: MAX_TEAMS + 10 }, () => teams().create(ada, newName())),
    )
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(MAX_TEAMS)
    expect(await teams().list(ada)).toHaveLength(MAX_TEAMS)
    const [first] = await teams().list(ada)
    await teams().archive(ada, first?.id ?? '')
    await teams().create(ada, newName())
  })

  test('is decided about by its owners alone', async () => {
    for (const role of ['admin', 'member'] as const) {
      const team = await newTeam(role)
      const tries = [
        () => teams().rename(bob, team, newName()),
        () => teams().archive(bob, team),
        () => members().setRole(bob, team, bob.username, 'owner'),
        () => members().setRole(bob, team, cyd.username, 'admin'),
        () => members().remove(bob, team, ada.username),
      ]
      for (const act of tries) await expect(act()).rejects.toMatchObject({ code: 'forbidden' })
      expect(await rolesIn(team)).toEqual({
        [ada.userId]: 'owner',
        [bob.userId]: role,
        [cyd.userId]: 'member',
      })
    }
  })

  test('has admins, who remove members, but neither owners nor each other', async () => {
    const team = await newTeam('admin')
    const dan = await person()
    await members().add(dan.userId, team, 'admin')
    await expect(members().remove(bob, team, dan.username)).rejects.toMatchObject({
      code: 'forbidden',
      details: { role: 'admin', needed: 'owner' },
    })
    await expect(members().remove(cyd, team, dan.username)).rejects.toMatchObject({
      details: { role: 'member', needed: 'admin' },
    })
    await members().remove(bob, team, cyd.username)
    expect(Object.keys(await rolesIn(team))).not.toContain(cyd.userId)
    await expect(teams().read(cyd, team)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('is left by anybody but its last owner', async () => {
    const team = await newTeam('admin')
    await members().remove(cyd, team, cyd.username)
    await members().remove(bob, team, bob.username)
    const last = { code: 'forbidden', message: expect.stringMatching(/needs an owner/) }
    await expect(members().remove(ada, team, ada.username)).rejects.toMatchObject(last)
    await expect(members().setRole(ada, team, ada.username, 'admin')).rejects.toMatchObject(last)
    expect(await rolesIn(team)).toEqual({ [ada.userId]: 'owner' })
  })

  test('keeps an owner when two demote each other, or leave, at the same time', async () => {
    for (let round = 0; round < 10; round++) {
      const team = await newTeam('owner')
      const acts = [
        [
          () => members().setRole(ada, team, bob.username, 'member'),
          () => members().setRole(bob, team, ada.username, 'member'),
        ],
        [
          () => members().remove(ada, team, ada.username),
          () => members().remove(bob, team, bob.username),
        ],
      ][round % 2]
      const outcomes = await Promise.allSettled((acts ?? []).map((act) => act()))
      expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      const owners = Object.values(await rolesIn(team, cyd)).filter((role) => role === 'owner')
      expect(owners).toHaveLength(1)
      await members().setRole('operator', team, cyd.username, 'owner')
      await teams().archive(cyd, team)
    }
  })

  test('is left by anybody but its last owner, also once it is archived', async () => {
    const team = await newTeam('owner')
    await teams().archive(ada, team)
    await members().remove(cyd, team, cyd.username)
    await members().remove(ada, team, ada.username)
    await expect(teams().read(ada, team)).rejects.toMatchObject({ code: 'not_found' })
    await expect(members().remove(bob, team, bob.username)).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/last owner of this archived team/),
    })
    expect(await rolesIn(team, bob)).toEqual({ [bob.userId]: 'owner' })
    const events = await app.app.repositories.auditEvents.list(team, '0', 100)
    const left = events.filter(({ action }) => action === 'member.left')
    expect(left.map(({ targetId }) => targetId)).toEqual([cyd.userId, ada.userId])
  })

  test('does not count an owner who may not sign in', async () => {
    const team = await newTeam('owner')
    await sql`update users set suspended_at = now() where id = ${bob.userId}`.execute(app.app.db)
    await expect(members().remove(ada, team, ada.username)).rejects.toMatchObject({
      code: 'forbidden',
    })
  })

  test('changes no more once it is archived', async () => {
    const team = await newTeam('owner')
    const dan = await person()
    await teams().archive(ada, team)
    const tries = [
      () => teams().archive(bob, team),
      () => teams().rename(bob, team, newName()),
      () => members().setRole(bob, team, cyd.username, 'admin'),
      () => members().remove(bob, team, cyd.username),
      () => members().remove('operator', team, cyd.username),
      () => members().add(dan.userId, team, 'member'),
    ]
    for (const act of tries) {
      await expect(act()).rejects.toMatchObject({
        code: 'forbidden',
        message: expect.stringMatching(/archived/),
      })
    }
    expect((await teams().read(cyd, team)).team.archivedAt).toBeInstanceOf(Date)
  })

  test('needs the permission, in a session that is alive', async () => {
    const reading = { ...ada, scopes: [] }
    await sql`update sessions set scopes = '{teams:read}' where id = ${ada.sessionId}`.execute(
      app.app.db,
    )
    await expect(teams().create(reading, newName())).rejects.toMatchObject({
      code: 'insufficient_scope',
      details: { scope: 'teams:manage' },
    })
    await app.app.services.userAdministration.signOut('operator', bob.username)
    await expect(teams().create(bob, newName())).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  test('has a chain of its own in the audit log, with no name in it', async () => {
    const { id } = await teams().create(ada, 'Canary Crew')
    await members().add(bob.userId, id, 'member')
    await members().setRole(ada, id, bob.username, 'admin')
    await teams().rename(ada, id, 'Canary Crew 2')
    await members().remove(bob, id, bob.username)
    await teams().archive(ada, id)
    const events = await app.app.repositories.auditEvents.list(id, '0', 100)
    expect(
      events.map(({ action, actorId, detail }) => [action, actorId, JSON.parse(detail)]),
    ).toEqual([
      ['team.created', ada.userId, {}],
      ['member.added', null, { role: 'member' }],
      ['member.role_changed', ada.userId, { before: 'member', role: 'admin' }],
      ['team.renamed', ada.userId, {}],
      ['member.left', bob.userId, { role: 'admin' }],
      ['team.archived', ada.userId, {}],
    ])
    expect(JSON.stringify(events)).not.toMatch(/canary/i)
    const report = await app.app.services.audit.verification.run({ chain: id })
    expect(report).toMatchObject({ events: 6, faults: [] })
  })

  test('is as it was when the event of a change cannot be written', async () => {
    const team = await newTeam('admin')
    await sql`alter table audit_heads rename to audit_heads_away`.execute(app.app.db)
    await expect(members().setRole(ada, team, bob.username, 'owner')).rejects.toThrow()
    await expect(teams().create(ada, 'Unheard Of')).rejects.toThrow()
    await sql`alter table audit_heads_away rename to audit_heads`.execute(app.app.db)
    expect(await rolesIn(team)).toMatchObject({ [bob.userId]: 'admin' })
    await teams().create(ada, 'Unheard Of')
  })
})
