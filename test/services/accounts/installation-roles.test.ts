/** Who may do what in the whole installation: roles, suspension, and names that nobody registers. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { browserSession, CHOSEN_PASSWORD, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

describeDatabases('in the installation', (kind) => {
  let app: TestApp
  let boss: Caller
  let ada: Awaited<ReturnType<typeof signUp>>

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'Boss, Later' } })
    boss = await browserSession(app, (await app.register('Boss')).userId)
  })
  beforeEach(async () => {
    app.claude.reset()
    ada = await signUp(app)
  })
  afterAll(() => app.close())

  const services = () => app.app.services
  const admin = () => services().userAdministration
  const tokenIn = (url: string) => new URL(url).searchParams.get('invitation') as string
  const wanted = (username: string, invitation?: string) => ({
    ...{ username, email: `${username}@example.com`, password: CHOSEN_PASSWORD },
    invitation,
  })
  const renewed = async ({ userId }: { userId: string }) => browserSession(app, userId)
  const becomes = async (role: 'member' | 'auditor' | 'admin') => {
    await admin().setRole('operator', ada.username, role)
    return renewed(ada)
  }

  test('a name in ADMIN_USERNAMES is not registered, and is made by the link of the start', async () => {
    const taken = { code: 'username_taken' }
    for (const name of ['later', 'LATER']) {
      await expect(services().accounts.signUp(wanted(name))).rejects.toMatchObject(taken)
      const key = 'sk-ant-api03-later'
      const registration = { username: name, email: 'later@example.com', apiKey: key }
      await expect(services().accounts.register(registration)).rejects.toMatchObject(taken)
    }
    // Nor by an invitation that another person made for the name.
    const team = await services().teams.create(ada.caller, `Takers ${kind}`)
    const invite = { role: 'member' as const, username: 'later' }
    const byAda = await services().invitations.create(ada.caller, team.id, invite)
    const signedUp = () => services().accounts.signUp(wanted('later', tokenIn(byAda.url)))
    await expect(signedUp()).rejects.toMatchObject(taken)

    const invited = await services().accountInvitations.inviteListed()
    expect(invited.map(({ username }) => username)).toEqual(['later'])
    const token = tokenIn(invited[0]?.url ?? '')
    await expect(services().accounts.signUp(wanted('other', token))).rejects.toMatchObject({
      code: 'not_found',
    })
    const { userId } = await services().accounts.signUp(wanted('Later', token))
    expect((await renewed({ userId })).isAdmin).toBe(true)
    expect(await services().accountInvitations.inviteListed()).toEqual([])
  })

  test('links of the start do not pile up', async () => {
    const other = await startApp({ kind, env: { ADMIN_USERNAMES: 'first' } })
    try {
      const { accountInvitations } = other.app.services
      for (let i = 0; i < 13; i++) await accountInvitations.inviteListed()
      expect(await accountInvitations.listOpen()).toHaveLength(10)
    } finally {
      await other.close()
    }
  })

  test('a role counts from the next request on, and is taken away the same way', async () => {
    expect(ada.caller).toMatchObject({ isAdmin: false, isAuditor: false })
    expect(await becomes('auditor')).toMatchObject({ isAdmin: false, isAuditor: true })
    expect(await becomes('admin')).toMatchObject({ isAdmin: true, isAuditor: true })
    const usage = await services().usage.report(await renewed(ada), {}, 'day')
    expect(usage.scope).toBe('everybody')
    const was = await renewed(ada)
    expect(await becomes('member')).toMatchObject({ isAdmin: false, isAuditor: false })
    // The request that was on its way does nothing any more.
    const bob = await signUp(app)
    for (const act of [
      () => admin().suspend(was, bob.username),
      () => admin().setRole(was, bob.username, 'admin'),
      () => admin().signOut(was, bob.username),
      () => admin().delete(was, bob.username),
      () => services().passwordLinks.create(was, bob.username),
      () => services().accountInvitations.create(was, { role: 'member' }),
    ]) {
      await expect(act()).rejects.toMatchObject({ code: 'forbidden' })
    }
  })

  test('auditors change nothing, and nobody but the operator acts on the root or on themselves', async () => {
    const auditor = await becomes('auditor')
    const bob = await signUp(app)
    const acts = (by: Caller, name: string) => [
      () => admin().suspend(by, name),
      () => admin().restore(by, name),
      () => admin().setRole(by, name, 'member'),
      () => admin().signOut(by, name),
      () => admin().delete(by, name),
      () => services().passwordLinks.create(by, name),
    ]
    const forbidden = { code: 'forbidden' }
    for (const act of acts(auditor, bob.username))
      await expect(act()).rejects.toMatchObject(forbidden)
    const byRole = await becomes('admin')
    for (const act of [...acts(byRole, 'boss'), ...acts(byRole, byRole.username)]) {
      await expect(act()).rejects.toMatchObject(forbidden)
    }
    await admin().setRole(byRole, bob.username, 'auditor')
    expect((await renewed(bob)).isAuditor).toBe(true)
    await admin().setRole(boss, ada.username, 'member')
  })

  test('what an admin does in a browser needs the password of a moment ago', async () => {
    const byRole = await becomes('admin')
    await sql`update sessions set proven_at = null where id = ${byRole.sessionId}`.execute(
      app.app.db,
    )
    await expect(admin().suspend(byRole, 'boss')).rejects.toMatchObject({ code: 'proof_required' })
    await admin().setRole('operator', ada.username, 'member')
  })

  test('a suspended user is out at once, loses nothing, and comes back', async () => {
    const user = await app.register()
    const client = await app.connect('legacy', user.accessToken)
    const kept = await client.call('send_message', { message: 'to be kept' })
    app.claude.script({ kind: 'delay', delayMs: 60_000 })
    const running = client.call('send_message', { message: 'never answered', wait_seconds: 30 })
    await expect.poll(() => app.claude.messageRequests().length).toBe(2)
    const browser = await renewed(user)
    const { ended } = await admin().suspend(boss, user.username)
    expect(ended).toBe(2)
    await running.catch(() => undefined)
    await expect(services().sessions.resolve(user.accessToken)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    await expect(services().sessions.list(browser)).resolves.toEqual([])
    const out = { code: 'forbidden', message: expect.stringMatching(/suspended/) }
    await expect(
      services().accounts.authenticate(user.username, user.password),
    ).rejects.toMatchObject(out)
    await expect(renewed(user)).rejects.toMatchObject(out)
    const { rows } = await sql<{ status: string }>`
      select status from messages where user_id = ${user.userId} and role = 'assistant'
      order by created_at`.execute(app.app.db)
    expect(rows.map(({ status }) => status)).toEqual(['complete', 'cancelled'])
    await admin().restore(boss, user.username)
    const { accessToken } = await services().accounts.authenticate(user.username, user.password)
    const again = await app.connect('legacy', accessToken)
    const { conversation_id } = kept.structured.data
    const history = await again.call('get_conversation_history', { conversation_id })
    expect(history.structured.total).toBe(2)
  })

  test('a sign-in that races with a suspension does not outlive it', async () => {
    const tries = Array.from({ length: 8 }, () => renewed(ada).catch(() => undefined))
    await admin().suspend(boss, ada.username)
    await Promise.all(tries)
    const { rows } = await sql`
      select from sessions where user_id = ${ada.userId} and revoked_at is null`.execute(app.app.db)
    expect(rows).toEqual([])
  })

  test('a link lets a user choose a password once, and ends what was signed in', async () => {
    const { url } = await services().passwordLinks.create(boss, ada.username)
    const link = new URL(url).searchParams.get('link') as string
    const { passwordLinks, accounts, sessions } = services()
    for (let i = 0; i < 3; i++) {
      expect(await passwordLinks.look(link)).toEqual({ username: ada.username })
    }
    await expect(passwordLinks.use(link, 'short', null)).rejects.toMatchObject({
      code: 'invalid_input',
    })
    // It is not a link to the key page.
    expect(await services().keyLinks.belongsTo(link, ada.userId)).toBe(false)
    const chosen = 'another four words entirely'
    await passwordLinks.use(link, chosen, null)
    expect(await sessions.list(ada.caller)).toEqual([])
    await accounts.checkPassword(ada.username, chosen)
    await expect(passwordLinks.use(link, chosen, null)).rejects.toMatchObject({ code: 'not_found' })
    expect(await passwordLinks.look(link)).toBeUndefined()
  })

  test('the last owner of a team is not deleted, neither by themselves nor by an admin', async () => {
    const { id } = await services().teams.create(ada.caller, `Owned ${ada.username}`.slice(0, 40))
    const bob = await signUp(app)
    await services().teamMembers.add(bob.userId, id, 'member')
    const last = { code: 'forbidden', message: expect.stringMatching(/without an owner/) }
    await expect(services().accounts.delete(ada.caller, CHOSEN_PASSWORD)).rejects.toMatchObject(
      last,
    )
    await expect(admin().delete(boss, ada.username)).rejects.toMatchObject(last)
    // They are still signed in.
    expect(await services().sessions.list(ada.caller)).not.toEqual([])
    await services().teamMembers.setRole('operator', id, bob.username, 'owner')
    await services().accounts.delete(ada.caller, CHOSEN_PASSWORD)
    expect((await services().teams.read(bob.caller, id)).members).toHaveLength(1)
  })

  test('wrong passwords and acts of admins are in the audit log', async () => {
    for (let i = 0; i < 5; i++) {
      await services()
        .accounts.checkPassword(ada.username, 'wrong', '192.0.2.0/24')
        .catch(() => {})
    }
    await admin().setRole(boss, ada.username, 'auditor')
    await admin().suspend(boss, ada.username)
    const { rows } = await sql<{ action: string; actorId: string | null; detail: string }>`
      select action, actor_id, detail from audit_events where target_id = ${ada.userId}
      order by seq`.execute(app.app.db)
    const shown = rows.map(({ action, actorId, detail }) => [action, actorId, JSON.parse(detail)])
    expect(shown).toEqual([
      ['user.added', null, {}],
      ['session.refused', null, { failures: 1 }],
      ['session.refused', null, { failures: 4 }],
      ['user.role_changed', boss.userId, { before: 'member', role: 'auditor' }],
      ['user.suspended', boss.userId, { sessions: 1 }],
    ])
    expect(await services().audit.verification.run()).toMatchObject({ faults: [] })
  })
})
