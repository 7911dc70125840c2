/** Who pays in a conversation where no call says so: its payer, for the members of that team. */

import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { lockWaiters } from '../../support/lock-waiters.ts'
import { browserSession } from '../../support/signed-up.ts'
import {
  type Answer,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'
import { callerOf, newTeam, type TestTeam } from '../../support/teams.ts'

type Person = TestUser & { client: TestClient }
type Args = Record<string, unknown>

describeDatabases('the payer of a conversation', (kind) => {
  let app: TestApp
  /** Ada owns the team and the conversations, bob is in the team, eve is not. */
  let [ada, bob, eve] = [] as unknown as [Person, Person, Person]
  let team: TestTeam

  const person = async (): Promise<Person> => {
    const user = await app.register()
    return { ...user, client: await app.connect('legacy', user.accessToken) }
  }

  beforeAll(async () => {
    app = await startApp({ kind })
    ;[ada, bob, eve] = [await person(), await person(), await person()]
  })
  beforeEach(async () => {
    team = await newTeam(app, [ada, bob])
  })
  afterAll(() => app.close())

  const dataOf = async (call: Promise<Answer>) => {
    const { structured } = await call
    if (structured.data === undefined) throw new Error(JSON.stringify(structured.error))
    return structured.data
  }
  const errorOf = async (call: Promise<Answer>) => (await call).structured.error
  const byTeam = ({ name }: TestTeam) => `team:${name}`

  const begin = async () =>
    (await dataOf(ada.client.call('send_message', { message: 'hello' }))).conversation_id as string
  const update = (id: string, args: Args, by = ada) =>
    by.client.call('update_conversation', { conversation_id: id, ...args })
  const send = (id: string, by = ada, more: Args = {}) =>
    by.client.call('send_message', { conversation_id: id, message: 'and on', ...more })
  const payerOf = async (call: Promise<Answer>) => {
    const { paid_by } = await dataOf(call)
    return paid_by.kind === 'team' ? paid_by.team : paid_by.kind
  }
  const give = async (id: string, to: Person, role = 'contributor') => {
    const args = { conversation_id: id, with: { username: to.username }, role }
    const { share_id } = await dataOf(ada.client.call('share_conversation', args))
    await app.app.repositories.grants.accept(share_id, to.userId)
  }
  const asked = () => app.claude.messageRequests().length
  const drift = () => app.app.repositories.ledgerAudit.listDrift()
  const removeFromTeam = async ({ username }: TestUser, { id }: TestTeam) =>
    app.app.services.teamMembers.remove(await browserSession(app, ada.userId), id, username)

  test('pays for members who name no payer, and binds nobody else', async () => {
    const id = await begin()
    const set = await dataOf(update(id, { payer: `team:${team.id}` }))
    expect(set).toMatchObject({ payer: byTeam(team), payers: 'any', team: null })
    await give(id, bob)
    await give(id, eve)
    expect(await payerOf(send(id))).toBe(team.name)
    expect(app.claude.messageRequests().at(-1)?.key).toBe(team.apiKey)
    expect(await payerOf(send(id, bob))).toBe(team.name)
    expect(await payerOf(send(id, eve))).toBe('own')
    expect(app.claude.messageRequests().at(-1)?.key).toBe(eve.apiKey)
    expect(await payerOf(send(id, ada, { pay_with: 'own' }))).toBe('own')
    const { conversations } = (await bob.client.call('get_conversations', { filter: 'shared' }))
      .structured
    expect(conversations.find((row: { id: string }) => row.id === id)).toMatchObject({
      payer: byTeam(team),
      payers: 'any',
    })
    await update(id, { payer: 'sender' })
    expect(await payerOf(send(id))).toBe('own')
    expect(await drift()).toEqual([])
  })

  test('is not shown to those who only read', async () => {
    const id = await begin()
    await update(id, { payer: byTeam(team) })
    await give(id, eve, 'viewer')
    const { conversations } = (await eve.client.call('get_conversations', { filter: 'shared' }))
      .structured
    expect(conversations.find((row: { id: string }) => row.id === id)).toMatchObject({
      payer: null,
      payers: null,
      team: null,
    })
    expect(await errorOf(send(id, eve))).toMatchObject({ code: 'forbidden' })
  })

  test('is chosen by the owner, of their own teams that are in use', async () => {
    const id = await begin()
    await give(id, bob)
    expect(await errorOf(update(id, { payer: byTeam(team) }, bob))).toMatchObject({
      code: 'forbidden',
      details: { needed: 'owner' },
    })
    const others = await newTeam(app, [bob])
    const missing = await errorOf(update(id, { payer: byTeam(others) }))
    expect(missing).toMatchObject({ code: 'not_found', details: { field: 'payer' } })
    expect(await errorOf(update(id, { payer: 'team:no such team' }))).toEqual(missing)
    const archived = await newTeam(app, [ada])
    await app.app.services.teams.archive(await browserSession(app, ada.userId), archived.id)
    expect(await errorOf(update(id, { payer: byTeam(archived) }))).toMatchObject({
      code: 'forbidden',
    })
    expect(await payerOf(send(id))).toBe('own')
  })

  test('is chosen and spent only by connections that may spend it', async () => {
    const id = await begin()
    const browser = await browserSession(app, ada.userId)
    const clientWith = async (purses: string[]) => {
      const { token } = await app.app.services.personalTokens.create(browser, {
        name: `token ${Math.random()}`,
        scopes: ['conversations:read', 'conversations:write', 'messages:send'],
        expiresAt: new Date(Date.now() + 3_600_000),
        purses,
      })
      return { ...ada, client: await app.connect('modern', token) }
    }
    const [poor, rich] = [await clientWith([]), await clientWith([team.id])]
    const before = asked()
    expect(await errorOf(update(id, { payer: byTeam(team) }, poor))).toMatchObject({
      code: 'payer_required',
      details: { field: 'payer', choices: ['sender'] },
    })
    expect(await dataOf(update(id, { payer: byTeam(team) }, rich))).toMatchObject({
      payer: byTeam(team),
    })
    expect(await errorOf(send(id, poor))).toMatchObject({
      code: 'payer_required',
      details: { field: 'pay_with', choices: ['own'] },
    })
    expect(asked()).toBe(before)
    expect(await payerOf(send(id, poor, { pay_with: 'own' }))).toBe('own')
    expect(await payerOf(send(id, rich))).toBe(team.name)
  })

  test('is never replaced by another: not for an owner who left, nor without a key', async () => {
    const others = await newTeam(app, [bob, ada])
    const id = await begin()
    await update(id, { payer: byTeam(others) })
    await app.app.services.teamKeys.remove(await callerOf(app, bob), others.id)
    const before = asked()
    expect(await errorOf(send(id))).toMatchObject({
      code: 'team_key_missing',
      details: { ask: [bob.username] },
    })
    const caller = await callerOf(app, ada)
    await app.app.services.teamMembers.remove(caller, others.id, ada.username)
    expect(await errorOf(send(id))).toMatchObject({
      code: 'payer_required',
      details: { choices: ['own'] },
    })
    expect(asked()).toBe(before)
    expect(await payerOf(send(id, ada, { pay_with: 'own' }))).toBe('own')
    await update(id, { payer: 'sender' })
    expect(await payerOf(send(id))).toBe('own')
  })

  test('with team_only no other key is used, by anybody', async () => {
    const id = await begin()
    expect(await errorOf(update(id, { payers: 'team_only' }))).toMatchObject({
      code: 'invalid_input',
    })
    const set = { payer: byTeam(team), payers: 'team_only' }
    expect(await dataOf(update(id, set))).toMatchObject(set)
    expect(await errorOf(update(id, { payer: 'sender' }))).toMatchObject({ code: 'invalid_input' })
    await give(id, bob)
    await give(id, eve)
    const second = await newTeam(app, [ada, eve])
    const before = asked()
    const choices = [byTeam(team)]
    for (const [by, payWith, open] of [
      [ada, 'own', choices],
      [bob, 'own', choices],
      [ada, byTeam(second), choices],
      [eve, undefined, []],
      [eve, 'own', []],
    ] as const) {
      const sent = send(id, by, payWith === undefined ? {} : { pay_with: payWith })
      expect(await errorOf(sent)).toMatchObject({
        code: 'payer_required',
        details: { field: 'pay_with', choices: open },
      })
    }
    expect(asked()).toBe(before)
    expect(await payerOf(send(id, bob))).toBe(team.name)
    expect(await payerOf(send(id, bob, { pay_with: `team:${team.id}` }))).toBe(team.name)
    await update(id, { payer: 'sender', payers: 'any' })
    expect(await payerOf(send(id, eve))).toBe('own')
  })

  test('ends for a member with their membership', async () => {
    const id = await begin()
    await update(id, { payer: byTeam(team) })
    await give(id, bob)
    expect(await payerOf(send(id, bob))).toBe(team.name)
    await removeFromTeam(bob, team)
    expect(await payerOf(send(id, bob))).toBe('own')
    await update(id, { payers: 'team_only' })
    const refusedWith = (way: string) => ({
      code: 'payer_required',
      message: expect.stringContaining(way),
    })
    expect(await errorOf(send(id, bob))).toMatchObject(refusedWith('Ask its owners to let you in'))
    await app.app.services.teams.archive(await browserSession(app, ada.userId), team.id)
    expect(await errorOf(send(id))).toMatchObject(refusedWith('payers to "any" with'))
  })

  test('that is changed while a message begins is the new one', async () => {
    const id = await begin()
    const { db } = app.app
    const pay = (payer: string | null, payers: string) => sql`
      update conversations set payer = ${payer === null ? 'sender' : 'team'},
        paying_team_id = ${payer}::uuid, payers = ${payers}
      where id = ${id}`
    if (kind === 'embedded') {
      await pay(team.id, 'team_only').execute(db)
      return expect(await payerOf(send(id))).toBe(team.name)
    }
    for (const [change, expected] of [
      [pay(team.id, 'team_only'), team.name],
      [pay(null, 'any'), 'own'],
    ] as const) {
      let sending: Promise<string> | undefined
      await db.transaction().execute(async (tx) => {
        await sql`select from conversations where id = ${id} for update`.execute(tx)
        sending = payerOf(send(id))
        await expect.poll(() => lockWaiters(db)).toBeGreaterThan(0)
        await change.execute(tx)
      })
      expect(await sending).toBe(expected)
    }
    expect(await drift()).toEqual([])
  })

  test('is that of its own branches, and not of copies that others make', async () => {
    const id = await begin()
    await update(id, { payer: byTeam(team), payers: 'team_only' })
    await give(id, bob)
    const branch = async (by: Person) =>
      (await dataOf(by.client.call('branch_conversation', { conversation_id: id })))
        .conversation_id as string
    expect(await payerOf(send(await branch(ada)))).toBe(team.name)
    expect(await payerOf(send(await branch(bob), bob))).toBe('own')
    const [question] = (await ada.client.call('get_conversation_history', { conversation_id: id }))
      .structured.messages
    const edited = { edit_message_id: question.id }
    expect(await payerOf(send(id, ada, edited))).toBe(team.name)
    expect(await errorOf(send(id, ada, { ...edited, pay_with: 'own' }))).toMatchObject({
      code: 'payer_required',
    })
    expect(await payerOf(send(id, bob, edited))).toBe('own')
    expect(await drift()).toEqual([])
  })

  test('is what the team has set, where the conversation belongs to one', async () => {
    const browser = await browserSession(app, ada.userId)
    const { teams } = app.app.services
    const id = await begin()
    expect(await dataOf(update(id, { team: team.name }))).toMatchObject({
      team: team.name,
      payer: 'sender',
    })
    await teams.setPayment(browser, team.id, { defaultPayer: 'team', payers: 'team_only' })
    expect(await dataOf(update(id, { team: team.id }))).toMatchObject({
      team: team.name,
      payer: byTeam(team),
      payers: 'team_only',
    })
    expect(await payerOf(send(id))).toBe(team.name)
    const free = { team: null, payer: 'sender', payers: 'any' }
    expect(await dataOf(update(id, free))).toMatchObject(free)
    const other = await begin()
    const own = { team: team.id, payer: 'sender', payers: 'any' }
    expect(await dataOf(update(other, own))).toMatchObject({ ...own, team: team.name })
    expect(await errorOf(update(other, { team: (await newTeam(app, [bob])).id }))).toMatchObject({
      code: 'not_found',
    })
    await expect(
      teams.setPayment(await browserSession(app, bob.userId), team.id, {
        defaultPayer: 'sender',
        payers: 'any',
      }),
    ).rejects.toMatchObject({ code: 'forbidden' })
  })
})
