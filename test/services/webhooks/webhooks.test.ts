/** Whose webhooks are whose, and that they arrive from a real gateway. */

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import type { WebhookOwner } from '../../../src/services/webhooks/webhooks.ts'
import { describeDatabases } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { browserSession, signUp } from '../../support/signed-up.ts'
import { type Delivering, type Got, startDelivering } from './delivering.ts'
import { verifiedBody } from './verified-body.ts'

const EVENTS = ['member.added']
const URL_OF_HOOK = 'https://hooks.example/secret-path'

describeDatabases('webhooks', (kind) => {
  let { app, admin, receiverUrl, got, close } = {} as Delivering

  beforeAll(async () => {
    ;({ app, admin, receiverUrl, got, close } = await startDelivering(kind))
  })
  // The certificate is for another test; the environment is as before after each.
  beforeEach(() => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    got.length = 0
  })
  afterAll(() => close())

  const ofInstallation = (actor: Caller = admin): WebhookOwner => ({ of: 'installation', actor })
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      (error: { code?: string }) => error.code,
    )

  /** A team with an owner, an admin and a member, each in a browser. */
  const newPeople = async () => {
    const { teams, teamMembers } = app.app.services
    const [owner, manager, member] = [await signUp(app), await signUp(app), await signUp(app)]
    const { id } = await teams.create(owner.caller, `Team ${owner.userId.slice(-12)}`)
    await teamMembers.add(manager.userId, id, 'admin')
    await teamMembers.add(member.userId, id, 'member')
    const of = (actor: Caller): WebhookOwner => ({ of: 'team', actor, team: id })
    return { id, owner, manager, member, of }
  }

  test('arrive signed, those of a team with its events, and those of the installation with all', async () => {
    const { webhooks, teamMembers } = app.app.services
    const { id, owner, of } = await newPeople()
    const other = await newPeople()
    const add = (who: WebhookOwner, path: string) =>
      webhooks.create(who, { url: `${receiverUrl}${path}`, events: EVENTS })
    const ofTeam = await add(of(owner.caller), '/team')
    await add(other.of(other.owner.caller), '/other-team')
    const ofAll = await add(ofInstallation(), '/all')
    const bob = await signUp(app)
    await teamMembers.add(bob.userId, id, 'member')
    await expect.poll(() => got.map(({ path }) => path).sort(), PATIENCE).toEqual(['/all', '/team'])
    for (const one of got) {
      const { secret } = one.path === '/all' ? ofAll : ofTeam
      expect(verifiedBody(one, secret)).toMatchObject({
        type: 'member.added',
        data: { team: { id }, user_id: bob.userId, role: 'member' },
      })
    }
    await webhooks.delete(ofInstallation(), ofAll.id)
  })

  test('an address inside is refused by what is sent, and for one reason', async () => {
    const { webhooks } = app.app.services
    const { owner, of } = await newPeople()
    const urls = ['https://127.0.0.1/', 'https://[::ffff:10.0.0.1]/', 'https://no-such.invalid/']
    for (const url of urls) await webhooks.create(of(owner.caller), { url, events: EVENTS })
    const listed = async () => (await webhooks.listOfTeam(owner.caller, idOf(of))).webhooks
    for (const { id } of await listed()) await webhooks.test(of(owner.caller), id)
    const problems = async () => (await listed()).map(({ lastProblem }) => lastProblem)
    await expect
      .poll(problems, PATIENCE)
      .toEqual(urls.map(() => 'its host has no public address that this gateway can find'))
  })

  const idOf = (of: (actor: Caller) => WebhookOwner) => {
    const owner = of(admin)
    return owner.of === 'team' ? owner.team : ''
  }

  test('a test arrives, and a new secret signs beside the old one', async () => {
    const { webhooks } = app.app.services
    const { id, secret } = await webhooks.create(ofInstallation(), {
      url: `${receiverUrl}/test`,
      events: EVENTS,
    })
    const { secret: next } = await webhooks.rotate(ofInstallation(), id)
    await webhooks.test(ofInstallation(), id)
    await expect.poll(() => got.length, PATIENCE).toBe(1)
    for (const one of [secret, next]) {
      expect(verifiedBody(got[0] as Got, one)).toMatchObject({ type: 'webhook.test' })
    }
    await webhooks.disable(ofInstallation(), id)
    expect(await codeOf(webhooks.test(ofInstallation(), id))).toBe('invalid_input')
    await webhooks.enable(ofInstallation(), id)
    await webhooks.delete(ofInstallation(), id)
    expect(await codeOf(webhooks.test(ofInstallation(), id))).toBe('not_found')
    const events = await app.app.db
      .selectFrom('auditEvents')
      .select(['action', 'detail'])
      .where('targetId', '=', id)
      .orderBy('seq')
      .execute()
    expect(events.map(({ action }) => action)).toEqual([
      ...['webhook.created', 'webhook.secret_replaced', 'webhook.tested'],
      ...['webhook.disabled', 'webhook.enabled', 'webhook.deleted'],
    ])
    expect(JSON.stringify(events)).not.toContain('localhost')
  })

  test('is there for its own owner only', async () => {
    const { webhooks } = app.app.services
    const [blue, red] = [await newPeople(), await newPeople()]
    const given = { url: URL_OF_HOOK, events: EVENTS }
    const ofBlue = await webhooks.create(blue.of(blue.owner.caller), given)
    const ofAll = await webhooks.create(ofInstallation(), given)
    const strangers: [WebhookOwner, string][] = [
      [red.of(red.owner.caller), ofBlue.id],
      [red.of(red.owner.caller), ofAll.id],
      [blue.of(blue.owner.caller), ofAll.id],
      [ofInstallation(), ofBlue.id],
    ]
    for (const [owner, id] of strangers) {
      for (const act of ['rotate', 'test', 'disable', 'enable', 'delete'] as const) {
        expect(await codeOf(webhooks[act](owner, id)), act).toBe('not_found')
      }
    }
    const shown = JSON.stringify([
      await webhooks.list(admin),
      await webhooks.listOfTeam(blue.owner.caller, blue.id),
    ])
    expect(shown).not.toContain('secret-path')
    expect(shown).toContain('hooks.example')
    expect(await codeOf(webhooks.listOfTeam(red.owner.caller, blue.id))).toBe('not_found')
    await webhooks.delete(ofInstallation(), ofAll.id)
  })

  test('of a team are for its owners, while the operator allows it', async () => {
    const { webhooks, teamMembers } = app.app.services
    const { id, owner, manager, member, of } = await newPeople()
    const given = { url: URL_OF_HOOK, events: EVENTS }
    for (const { caller } of [manager, member]) {
      expect(await codeOf(webhooks.create(of(caller), given))).toBe('forbidden')
      expect(await codeOf(webhooks.listOfTeam(caller, id))).toBe('forbidden')
    }
    expect(await codeOf(webhooks.create(of(admin), given))).toBe('not_found')
    expect(await codeOf(webhooks.create(ofInstallation(owner.caller), given))).toBe('forbidden')
    const made = await webhooks.create(of(owner.caller), given)
    await teamMembers.setRole('operator', id, manager.username, 'owner')
    await teamMembers.remove('operator', id, owner.username)
    expect(await codeOf(webhooks.rotate(of(owner.caller), made.id))).toBe('not_found')
    expect(await codeOf(webhooks.create(of(owner.caller), given))).toBe('not_found')
    expect(await codeOf(webhooks.rotate(of(manager.caller), made.id))).toBe('done')
  })

  test('need the password of a moment ago', async () => {
    const { webhooks } = app.app.services
    await app.app.db
      .updateTable('sessions')
      .set({ provenAt: null })
      .where('id', '=', admin.sessionId)
      .execute()
    const given = { url: URL_OF_HOOK, events: EVENTS }
    expect(await codeOf(webhooks.create(ofInstallation(), given))).toBe('proof_required')
    admin = await browserSession(app, admin.userId)
  })

  test('have an address of https without a password, known events, and a number that ends', async () => {
    const { webhooks } = app.app.services
    const { owner, of } = await newPeople()
    const create = (given: Partial<{ url: string; events: string[] }>) =>
      codeOf(webhooks.create(of(owner.caller), { url: URL_OF_HOOK, events: EVENTS, ...given }))
    for (const url of [
      '',
      'hooks.example',
      'http://hooks.example/',
      'https://u:p@hooks.example/',
    ]) {
      expect(await create({ url }), url).toBe('invalid_input')
    }
    expect(await create({ url: `https://hooks.example/${'x'.repeat(3000)}` })).toBe('invalid_input')
    for (const events of [[], ['sign_in.locked'], ['nothing.known']]) {
      expect(await create({ events }), events.join()).toBe('invalid_input')
    }
    const all = await Promise.all(Array.from({ length: 8 }, () => create({})))
    expect(all.filter((code) => code === 'done')).toHaveLength(5)
    expect(all.filter((code) => code === 'invalid_input')).toHaveLength(3)
  })
})
