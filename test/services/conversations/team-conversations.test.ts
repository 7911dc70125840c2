/** What those who manage a team do about conversations that belong to it, and what they do not see. */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Caller } from '../../../src/services/access/caller.ts'
import { describeDatabases } from '../../support/databases.ts'
import { keepConversation } from '../../support/kept-conversation.ts'
import { type SignedUp, signUp } from '../../support/signed-up.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

describeDatabases('conversations of a team', (kind) => {
  let app: TestApp
  let [owner, admin, member, outsider] = [] as unknown as [SignedUp, SignedUp, SignedUp, SignedUp]
  let teamId: string
  let id: string

  beforeAll(async () => {
    app = await startApp({ kind })
  })
  beforeEach(async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => signUp(app)))
    ;[owner, admin, member, outsider] = people as typeof people &
      [SignedUp, SignedUp, SignedUp, SignedUp]
    const { teams, teamMembers } = app.app.services
    teamId = (await teams.create(owner.caller, `Team ${randomUUID().slice(0, 8)}`)).id
    await teamMembers.add(admin.userId, teamId, 'admin')
    await teamMembers.add(member.userId, teamId, 'member')
    id = await keepConversation(app, member.userId, ['canary'], 'an answer')
    await give(id)
  })
  afterAll(() => app.close())

  const give = (conversationId: string, to: string | null = teamId) =>
    app.app.db
      .updateTable('conversations')
      .set({ teamId: to })
      .where('id', '=', conversationId)
      .execute()
  const ofTeam = () => app.app.services.teamConversations
  const head = (userId: string) => app.app.repositories.conversationHeads.find(id, userId)
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'done',
      ({ code }) => code,
    )

  test('are seen by those who manage it, without title or text', async () => {
    const others = await keepConversation(app, member.userId, ['canary'], 'an answer')
    const page = await ofTeam().list(admin.caller, teamId, null)
    expect(page).toMatchObject({
      conversations: [{ id, owner: member.username, messages: 2, shares: 0, links: 0 }],
      next: null,
    })
    expect(JSON.stringify(page)).not.toMatch(/canary|kept/)
    expect(page.conversations.map((row) => row.id)).not.toContain(others)
    expect(await codeOf(ofTeam().list(member.caller, teamId, null))).toBe('forbidden')
    expect(await codeOf(ofTeam().list(outsider.caller, teamId, null))).toBe('not_found')
    for (const one of [owner, admin]) expect(await head(one.userId)).toBeUndefined()
    const all = await app.app.services.conversations.list(member.caller, {
      team: teamId,
      limit: 10,
      offset: 0,
    })
    expect(all).toMatchObject({ conversations: [{ id }], total: 1 })
    const none = { filter: 'all' as const, team: teamId, limit: 10, offset: 0 }
    expect((await app.app.services.conversations.list(owner.caller, none)).total).toBe(0)
    expect(await codeOf(app.app.services.conversations.list(outsider.caller, none))).toBe(
      'not_found',
    )
  })

  test('lose their shares and links by those who manage it alone', async () => {
    const { sharing, links } = app.app.services
    const share = { conversationId: id, role: 'viewer' as const }
    await sharing.share(member.caller, { ...share, with: 'everybody' })
    await links.make(member.caller, { conversationId: id, readers: 'signed-in' })
    const end = (caller: Caller, team = teamId) => ofTeam().endSharing(caller, team, id)
    expect(await codeOf(end(member.caller))).toBe('forbidden')
    expect(await codeOf(end(outsider.caller))).toBe('not_found')
    const other = await app.app.services.teams.create(
      admin.caller,
      `Other ${randomUUID().slice(0, 8)}`,
    )
    expect(await codeOf(end(admin.caller, other.id))).toBe('not_found')
    expect((await head(outsider.userId))?.role).toBe('viewer')
    await end(admin.caller)
    expect(await head(outsider.userId)).toBeUndefined()
    expect((await head(member.userId))?.role).toBe('owner')
    const [row] = (await ofTeam().list(admin.caller, teamId, null)).conversations
    expect(row).toMatchObject({ shares: 0, links: 0 })
  })

  test('are deleted by an owner alone, and only while they belong to the team', async () => {
    const remove = (caller: Caller) => ofTeam().delete(caller, teamId, id)
    expect(await codeOf(remove(member.caller))).toBe('forbidden')
    expect(await codeOf(remove(admin.caller))).toBe('forbidden')
    expect(await codeOf(remove(outsider.caller))).toBe('not_found')
    await give(id, null)
    expect(await codeOf(remove(owner.caller))).toBe('not_found')
    expect(await head(member.userId)).toBeDefined()
    await give(id)
    await app.app.services.teamMembers.remove(member.caller, teamId, member.username)
    await remove(owner.caller)
    expect(await head(member.userId)).toBeUndefined()
    expect(await codeOf(remove(owner.caller))).toBe('not_found')
    expect(await app.app.repositories.ledgerAudit.listDrift()).toEqual([])
    const events = await app.app.repositories.auditEvents.list(teamId, '0', 100)
    expect(events.at(-1)).toMatchObject({
      action: 'conversation.deleted',
      actorId: owner.userId,
      targetId: id,
    })
    expect((await app.app.services.audit.verification.run()).faults).toEqual([])
  })
})
