/**
 * What one user can do with another's names for things: nothing, and not even learn that they
 * exist. The cases come from the catalogue, so that a new argument fails here until it is covered.
 */

import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogue } from '../../src/mcp/catalogue.ts'
import { describeDatabases } from '../support/databases.ts'
import {
  type Answer,
  type Era,
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../support/start-app.ts'
import { bearer, post, resourceRead, toolCall } from './raw-mcp.ts'

/** What belongs to the user under attack, and to the attacker. */
type World = {
  conversationId: string
  messageIds: string[]
  ownConversationId: string
  otherOwnConversationId: string
  otherOwnMessageId: string
  sessionIds: string[]
  shareIds: string[]
  teamId: string
  ownTeamId: string
  invitationIds: string[]
  requestIds: string[]
}

type Attack = {
  args: Record<string, unknown>
  stolen: (world: World) => string[]
  /** Roles that may: they get figures, and no text. */
  openTo?: readonly string[]
}

/** Arguments that name something stored: put somebody else's into them. */
const NAMES: Record<string, (world: World) => Attack> = {
  'send_message.conversation_id': () => ({
    args: { message: 'hand it over' },
    stolen: ({ conversationId }) => [conversationId],
  }),
  'get_conversation_history.conversation_id': () => ({
    args: {},
    stolen: ({ conversationId }) => [conversationId],
  }),
  'get_message.message_id': () => ({ args: {}, stolen: ({ messageIds }) => messageIds }),
  'cancel_message.message_id': () => ({ args: {}, stolen: ({ messageIds }) => messageIds }),
  'revoke_token.session_id': () => ({ args: {}, stolen: ({ sessionIds }) => sessionIds }),
  'share_conversation.conversation_id': () => ({
    args: { with: 'everybody', role: 'viewer' },
    stolen: ({ conversationId }) => [conversationId],
  }),
  'share_conversation.from_message_id': ({ ownConversationId }) => ({
    args: { conversation_id: ownConversationId, with: 'everybody', role: 'viewer' },
    stolen: ({ messageIds, otherOwnMessageId }) => [...messageIds, otherOwnMessageId],
  }),
  'send_message.edit_message_id': (world) => {
    const { args, stolen } = inOwnConversation(world)
    return { args: { ...args, message: 'hand it over' }, stolen }
  },
  'update_conversation.conversation_id': () => ({
    args: { title: 'mine now' },
    stolen: ({ conversationId }) => [conversationId],
  }),
  'branch_conversation.conversation_id': () => ({
    args: {},
    stolen: ({ conversationId }) => [conversationId],
  }),
  'branch_conversation.through_message_id': (world) => inOwnConversation(world),
  'delete_conversation.conversation_id': () => ({
    args: {},
    stolen: ({ conversationId }) => [conversationId],
  }),
  'export_conversation.conversation_id': () => ({
    args: {},
    stolen: ({ conversationId }) => [conversationId],
  }),
  'get_shares.conversation_id': () => ({
    args: {},
    stolen: ({ conversationId }) => [conversationId],
  }),
  'revoke_share.share_id': () => ({ args: {}, stolen: ({ shareIds }) => shareIds }),
  'revoke_share.conversation_id': () => ({
    args: { all: true },
    stolen: ({ conversationId }) => [conversationId],
  }),
  'get_conversations.team': () => ({ args: {}, stolen: ({ teamId }) => [teamId] }),
  'get_teams.team': () => ({ args: {}, stolen: ({ teamId }) => [teamId] }),
  'manage_team.team': () => ({
    args: { action: 'invite', role: 'owner' },
    stolen: ({ teamId }) => [teamId],
  }),
  'manage_team.invitation_id': ({ ownTeamId }) => ({
    args: { team: ownTeamId, action: 'revoke_invitation' },
    stolen: ({ invitationIds }) => invitationIds,
  }),
  'manage_team.request_id': ({ ownTeamId }) => ({
    args: { team: ownTeamId, action: 'decide_request', decision: 'approve' },
    stolen: ({ requestIds }) => requestIds,
  }),
  'request_budget.team': () => ({
    args: { limit_usd: 5, reason: 'give me more' },
    stolen: ({ teamId }) => [teamId],
  }),
  'request_budget.withdraw': () => ({ args: {}, stolen: ({ requestIds }) => requestIds }),
  'get_usage.team': () => ({
    args: {},
    stolen: ({ teamId }) => [teamId],
    openTo: ['admin of the installation', 'admin by ADMIN_USERNAMES', 'auditor'],
  }),
  'get_budget.team': () => ({ args: {}, stolen: ({ teamId }) => [teamId] }),
  'set_budget.team': () => ({
    args: { period: 'day', limit_usd: 1 },
    stolen: ({ teamId }) => [teamId],
  }),
  'get_conversation_history.before': ({ ownConversationId }) => ({
    args: { conversation_id: ownConversationId },
    stolen: ({ messageIds, otherOwnMessageId }) => [...messageIds, otherOwnMessageId],
  }),
  'get_conversation_history.message_id': ({ ownConversationId }) => ({
    args: { conversation_id: ownConversationId },
    stolen: ({ messageIds, otherOwnMessageId }) => [...messageIds, otherOwnMessageId],
  }),
}

/** Of tools that take a conversation of one's own and a message of it. */
const inOwnConversation = ({ ownConversationId }: World): Attack => ({
  args: { conversation_id: ownConversationId },
  stolen: ({ messageIds, otherOwnMessageId }) => [...messageIds, otherOwnMessageId],
})

/** Arguments that have a test of their own below. */
const COVERED_BELOW = new Set([
  'register_user.username',
  'register_user.email',
  'register_user.anthropic_api_key',
  'authenticate_user.username',
  'authenticate_user.password',
  'send_message.idempotency_key',
  'get_conversations.cursor',
  'update_api_key.anthropic_api_key',
  'change_password.current_password',
  'change_password.new_password',
  'delete_my_account.password',
  'delete_my_account.confirm',
  'get_budget.username',
  'set_budget.username',
  // In test/mcp/tools/share-conversation.test.ts.
  'share_conversation.with',
  // In test/mcp/tools/teams.test.ts.
  'manage_team.username',
  'manage_team.email',
  // In test/mcp/tools/pay-with.test.ts.
  'send_message.pay_with',
  // In test/mcp/tools/payer.test.ts.
  'update_conversation.payer',
  'update_conversation.team',
  // In test/mcp/tools/search-conversations.test.ts.
  'search_conversations.cursor',
  // A position in the named conversation.
  'export_conversation.cursor',
])

/** Arguments that are the caller's own words: nothing stored has them as its name. */
const OWN_WORDS = new Set([
  'send_message.message',
  'send_message.model',
  'send_message.system_prompt',
  'send_message.stop_sequences',
  'send_message.tag',
  'search_conversations.query',
  'search_conversations.from',
  'search_conversations.to',
  'update_conversation.title',
  'manage_team.name',
  'manage_team.limit_usd',
  'manage_team.limit_tokens',
  'request_budget.limit_usd',
  'request_budget.reason',
  'update_conversation.system_prompt',
  'get_usage.from',
  'get_usage.group_by',
  'get_usage.to',
  'set_budget.limit_usd',
  'set_budget.limit_tokens',
])

const NEEDED: Record<string, (world: World) => Record<string, unknown>> = {
  send_message: () => ({ message: 'hello' }),
  update_api_key: () => ({ anthropic_api_key: 'sk-ant-api03-other' }),
  get_message: (world) => ({ message_id: world.otherOwnMessageId }),
  cancel_message: (world) => ({ message_id: world.otherOwnMessageId }),
  set_budget: () => ({ period: 'day' }),
  change_password: () => ({ current_password: 'unknown', new_password: 'twelve or more' }),
  delete_my_account: () => ({ password: 'unknown', confirm: 'nobody-1' }),
  get_conversation_history: (world) => ({ conversation_id: world.ownConversationId }),
  search_conversations: () => ({ query: 'papers' }),
  update_conversation: (world) => ({ conversation_id: world.ownConversationId, archived: false }),
  branch_conversation: (world) => ({ conversation_id: world.ownConversationId }),
  delete_conversation: () => ({ conversation_id: randomUUID() }),
  export_conversation: (world) => ({ conversation_id: world.ownConversationId }),
  share_conversation: (world) => ({
    conversation_id: world.ownConversationId,
    with: 'everybody',
    role: 'viewer',
  }),
  request_budget: () => ({ limit_usd: 5, reason: 'give me more' }),
  manage_team: (world) => ({ team: world.ownTeamId, action: 'remove', username: 'nobody-1' }),
}

const isPlainChoice = (type: string | undefined, choices: unknown) =>
  choices !== undefined || type === 'boolean' || type === 'integer' || type === 'number'

const argumentsThatCouldName = catalogue.flatMap(({ tool, inputSchema }) =>
  Object.entries(inputSchema.properties as Record<string, { type?: string; enum?: unknown }>)
    .filter(([, { type, enum: choices }]) => !isPlainChoice(type, choices))
    .map(([argument]) => `${tool.name}.${argument}`),
)

const userTools = catalogue.flatMap(({ tool }) => (tool.access === 'user' ? [tool.name] : []))

test('every argument that could name something is covered in this file', () => {
  const known = new Set([...Object.keys(NAMES), ...COVERED_BELOW, ...OWN_WORDS])
  const unknown = argumentsThatCouldName.filter(
    (name) => !known.has(name) && !name.endsWith('.access_token'),
  )
  expect(unknown).toEqual([])
  expect(argumentsThatCouldName).toEqual(expect.arrayContaining([...known]))
  expect(userTools.length).toBeGreaterThan(4)
})

describeDatabases('another user', (kind) => {
  let app: TestApp
  let ada: TestUser
  let eve: TestUser
  let world: World
  let forbiddenTexts: string[]
  const adas = {} as Record<Era, TestClient>
  const eves = {} as Record<Era, TestClient>
  /** With rights over ada, or beside her in a team that nothing is shared with. */
  const inRoles: Record<string, TestClient> = {}

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'the-admin, the-root' } })
    ada = await app.register()
    eve = await app.register()
    for (const era of eras) {
      adas[era] = await app.connect(era, ada.accessToken)
      eves[era] = await app.connect(era, eve.accessToken)
    }
    const stolen = await converse(adas.legacy, 'the Ada papers')
    const own = await converse(eves.legacy, 'nothing special')
    const other = await converse(eves.legacy, 'nothing either')
    world = {
      conversationId: stolen.conversationId,
      messageIds: stolen.messageIds,
      ownConversationId: own.conversationId,
      otherOwnConversationId: other.conversationId,
      otherOwnMessageId: other.messageIds[0] as string,
      sessionIds: await sessionsOf(adas.legacy),
      shareIds: [await shareWithBob(stolen.conversationId), await linkTo(stolen.conversationId)],
      teamId: await newTeam(adas.legacy, 'The Ada team'),
      ownTeamId: await newTeam(eves.legacy, 'Eves own team'),
      invitationIds: [await inviteTo(adas.legacy, 'The Ada team')],
      requestIds: [await requestIn(adas.legacy, 'The Ada team')],
    }
    await beginRoles()
    forbiddenTexts = [
      stolen.conversationId,
      ...stolen.messageIds,
      ...world.sessionIds,
      ...world.shareIds,
      ...world.invitationIds,
      ...world.requestIds,
      world.teamId,
      'The Ada team',
      ada.userId,
      'the Ada papers',
    ]
  })
  afterAll(() => app.close())

  async function beginRoles(): Promise<void> {
    const { services } = app.app
    const { id } = await services.teams.add(ada.userId, 'Ada and others')
    const roles = [
      'admin of the installation',
      'auditor',
      'team owner',
      'team admin',
      'team member',
    ]
    for (const role of roles) {
      const user = await app.register()
      const { username, userId } = user
      const teamRole = (['owner', 'admin', 'member'] as const).find((one) => role === `team ${one}`)
      if (teamRole) await services.teamMembers.add(userId, id, teamRole)
      else {
        const installationRole = role === 'auditor' ? 'auditor' : 'admin'
        await services.userAdministration.setRole('operator', username, installationRole)
      }
      inRoles[role] = await app.connect('legacy', user.accessToken)
    }
    const listed = await app.register('The-Root')
    inRoles['admin by ADMIN_USERNAMES'] = await app.connect('legacy', listed.accessToken)
  }

  async function converse(client: TestClient, message: string) {
    const first = await client.call('send_message', { message })
    const conversationId: string = first.structured.data.conversation_id
    await client.call('send_message', { message: 'go on', conversation_id: conversationId })
    const history = await client.call('get_conversation_history', {
      conversation_id: conversationId,
    })
    const messageIds: string[] = history.structured.messages.map(({ id }: { id: string }) => id)
    return { conversationId, messageIds }
  }

  async function newTeam(client: TestClient, team: string): Promise<string> {
    await client.call('manage_team', { team, action: 'create' })
    return (await client.call('get_teams', { team })).structured.data.teams[0].team_id
  }

  async function inviteTo(client: TestClient, team: string): Promise<string> {
    const { structured } = await client.call('manage_team', { team, action: 'invite' })
    return structured.data.invitation.invitation_id
  }

  async function requestIn(client: TestClient, team: string): Promise<string> {
    await client.call('set_budget', { team, period: 'day', limit_usd: 1 })
    const args = { team, limit_usd: 2, reason: 'the Ada papers' }
    return (await client.call('request_budget', args)).structured.data.request_id
  }

  async function shareWithBob(conversationId: string): Promise<string> {
    const { username } = await app.register()
    const { structured } = await adas.legacy.call('share_conversation', {
      conversation_id: conversationId,
      with: { username },
      role: 'contributor',
    })
    return structured.data.share_id
  }

  async function linkTo(conversationId: string): Promise<string> {
    const { structured } = await adas.legacy.call('share_conversation', {
      conversation_id: conversationId,
      with: { link: 'signed-in' },
      role: 'viewer',
    })
    return structured.data.share_id
  }

  async function sessionsOf(client: TestClient): Promise<string[]> {
    const { structured } = await client.call('list_sessions')
    return structured.data.sessions.map(({ id }: { id: string }) => id)
  }

  const adasHistory = async () =>
    (
      await adas.legacy.call('get_conversation_history', {
        conversation_id: world.conversationId,
      })
    ).text

  /** An answer to eve; whatever it is, nothing of ada's may be in it. */
  async function asEve(era: Era, tool: string, args: Record<string, unknown>): Promise<Answer> {
    const answer = await eves[era].call(tool, args)
    const everything = answer.text + JSON.stringify(answer.structured)
    for (const text of forbiddenTexts) expect(everything).not.toContain(text)
    return answer
  }

  test.each(Object.keys(NAMES))("%s with another's id exists for no role either", async (name) => {
    const [tool = '', argument = ''] = name.split('.')
    const { args, stolen, openTo = [] } = (NAMES[name] as (world: World) => Attack)(world)
    const before = { history: await adasHistory(), asked: app.claude.messageRequests().length }
    expect(Object.keys(inRoles)).toHaveLength(6)
    for (const [role, client] of Object.entries(inRoles)) {
      for (const id of stolen(world)) {
        const answer = await client.call(tool, { ...args, [argument]: id })
        const code = openTo.includes(role) ? undefined : 'not_found'
        expect(answer.structured.error?.code, `${role}: ${answer.text}`).toBe(code)
        for (const text of forbiddenTexts) expect(answer.text).not.toContain(text)
      }
    }
    expect(await adasHistory()).toBe(before.history)
    expect(app.claude.messageRequests()).toHaveLength(before.asked)
  })

  describe.each(eras)('in the %s era', (era) => {
    test.each(Object.keys(NAMES))(
      "%s with another's id is as if it did not exist",
      async (name) => {
        const [tool = '', argument = ''] = name.split('.')
        const { args, stolen } = (NAMES[name] as (world: World) => Attack)(world)
        const before = { history: await adasHistory(), asked: app.claude.messageRequests().length }
        const nobodys = await asEve(era, tool, { ...args, [argument]: randomUUID() })
        expect(nobodys.isError).toBe(true)
        expect(nobodys.structured.error.code).toBe('not_found')
        for (const id of [...stolen(world), ...stolen(world).map((id) => id.toUpperCase())]) {
          const answer = await asEve(era, tool, { ...args, [argument]: id })
          expect(answer).toEqual(nobodys)
        }
        expect(await adasHistory()).toBe(before.history)
        expect(app.claude.messageRequests()).toHaveLength(before.asked)
      },
    )

    test('a conversation that is being answered does not exist either', async () => {
      app.claude.reset()
      app.claude.script({ kind: 'delay', delayMs: 400 })
      const args = { message: 'take your time', conversation_id: world.conversationId }
      const running = adas[era].call('send_message', args)
      await expect.poll(() => app.claude.messageRequests()).toHaveLength(1)
      const answer = await asEve(era, 'send_message', args)
      expect(answer.structured.error).toMatchObject({ code: 'not_found', retryable: false })
      expect((await running).isError).toBe(false)
    })

    test("a cursor of another's leads through one's own list only", async () => {
      await converse(adas[era], 'the Ada papers')
      const page = await adas[era].call('get_conversations', { limit: 1 })
      const { next_cursor: cursor } = page.structured
      expect(cursor).toBeTypeOf('string')
      const crafted = Buffer.from(`${Date.now() + 60_000}.${world.conversationId}`)
      for (const used of [cursor, crafted.toString('base64url')]) {
        const answer = await asEve(era, 'get_conversations', { cursor: used })
        expect(answer.isError).toBe(false)
        const rows: { id: string }[] = answer.structured.conversations
        const own = (await asEve(era, 'get_conversations', {})).structured
        expect(own.conversations.map(({ id }: { id: string }) => id)).toEqual(
          expect.arrayContaining(rows.map(({ id }) => id)),
        )
        expect(answer.structured.total).toBe(own.total)
      }
    })

    test('one idempotency key of two users is two messages', async () => {
      const key = `shared-${era}`
      const args = { message: 'the very same words', idempotency_key: key }
      const adasAnswer = await adas[era].call('send_message', args)
      const evesAnswer = await asEve(era, 'send_message', args)
      const evesRepeat = await asEve(era, 'send_message', args)
      expect(evesAnswer.structured.data.replayed).toBe(false)
      expect(evesRepeat.structured.data).toEqual({ ...evesAnswer.structured.data, replayed: true })
      expect(evesAnswer.structured.data.message_id).not.toBe(adasAnswer.structured.data.message_id)
      const different = { ...args, message: 'other words' }
      const conflict = await asEve(era, 'send_message', different)
      expect(conflict.structured.error.code).toBe('idempotency_conflict')
    })

    test('metrics are of the asker alone, and an admin sees everybody', async () => {
      const read = async (client: TestClient) => {
        const { contents } = await client.raw.readResource({
          uri: 'mcp://claude-api-gateway/metrics',
        })
        return JSON.parse((contents[0] as { text: string }).text)
      }
      const before = await read(eves[era])
      await converse(adas[era], 'the Ada papers')
      await adas[era].call('authenticate_user', { username: ada.username, password: 'wrong' })
      const after = await read(eves[era])
      expect(after).toEqual(before)
      expect(after).toMatchObject({ scope: 'own', active_users: 1 })
      const own = await asEve(era, 'get_conversations', {})
      expect(after.total_conversations).toBe(own.structured.total)
    })

    test.each([
      ['get_budget', {}],
      ['set_budget', { period: 'day', limit_usd: 0 }],
    ])('%s by name is for admins, whether the name exists or not', async (tool, args) => {
      const nobodys = await asEve(era, tool, { ...args, username: 'nobody-1' })
      expect(nobodys.structured.error.code).toBe('forbidden')
      expect(await asEve(era, tool, { ...args, username: ada.username })).toEqual(nobodys)
      const adas = await app.connect(era, ada.accessToken)
      const { budgets } = (await adas.call('get_budget')).structured.data
      expect(budgets[0]).toMatchObject({ period: 'day', limit_usd: null })
    })

    test('sessions and the export are of the asker alone', async () => {
      expect(await sessionsOf(adas[era])).toEqual(world.sessionIds)
      expect(await sessionsOf(eves[era])).not.toEqual([])
      await asEve(era, 'list_sessions', {})
      const exported = await asEve(era, 'export_my_data', {})
      expect(exported.structured.data.data.user.username).toBe(eve.username)
    })

    test("knowing another's password is of no use to whoever is signed in as somebody else", async () => {
      const { username, password } = ada
      const changed = await asEve(era, 'change_password', {
        current_password: password,
        new_password: 'a password of hers',
      })
      expect(changed.structured.error.code).toBe('invalid_credentials')
      const byName = await asEve(era, 'delete_my_account', { password, confirm: username })
      expect(byName.structured.error.code).toBe('invalid_input')
      const own = await asEve(era, 'delete_my_account', { password, confirm: eve.username })
      expect(own.structured.error.code).toBe('invalid_credentials')
      const signedIn = await adas[era].call('authenticate_user', { username, password })
      const { access_token } = signedIn.structured.data
      await adas[era].call('revoke_token', { access_token })
      expect((await eves[era].call('get_conversations')).isError).toBe(false)
    })

    test('usage is of the asker alone', async () => {
      const before = await asEve(era, 'get_usage', { group_by: 'conversation' })
      await converse(adas[era], 'the Ada papers')
      const after = await asEve(era, 'get_usage', { group_by: 'conversation' })
      expect(after).toEqual(before)
      expect(after.structured.data.scope).toBe('own')
    })

    test.each(userTools)('%s wants one user, not two', async (tool) => {
      const args = { ...NEEDED[tool]?.(world), access_token: ada.accessToken }
      const mixed = await asEve(era, tool, args)
      expect(mixed.structured.error.code).toBe('forbidden')
      const swapped = await adas[era].call(tool, { ...args, access_token: eve.accessToken })
      expect(swapped.structured.error).toEqual(mixed.structured.error)
    })

    test.each(userTools)('%s is not run for a wrong access_token argument', async (tool) => {
      const args = { ...NEEDED[tool]?.(world), access_token: `${ada.accessToken}x` }
      const asked = app.claude.messageRequests().length
      const answer = await asEve(era, tool, args)
      expect(answer.structured.error.code).toBe('unauthenticated')
      const alone = await post(app.url, toolCall(era, tool, args))
      expect(alone.status).toBe(200)
      expect(alone.messages.at(-1)?.result.structuredContent).toEqual(answer.structured)
      expect(app.claude.messageRequests()).toHaveLength(asked)
    })

    test.each(userTools)('%s and no token is HTTP 401', async (tool) => {
      const answer = await post(app.url, toolCall(era, tool, NEEDED[tool]?.(world) ?? {}))
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toContain('resource_metadata=')
    })

    test('metrics and no token, or a wrong one, is HTTP 401', async () => {
      const request = resourceRead(era, 'mcp://claude-api-gateway/metrics')
      expect((await post(app.url, request)).status).toBe(401)
      expect((await post(app.url, request, bearer(`${eve.accessToken}x`))).status).toBe(401)
      expect((await post(app.url, request, bearer(eve.accessToken))).status).toBe(200)
    })
  })

  test('an admin is known by the name, whatever its case', async () => {
    const admin = await app.register('The-Admin')
    const client = await app.connect('modern', admin.accessToken)
    const { contents } = await client.raw.readResource({ uri: 'mcp://claude-api-gateway/metrics' })
    const metrics = JSON.parse((contents[0] as { text: string }).text)
    expect(metrics).toMatchObject({ scope: 'everybody', active_users: 2 })
    const conversations = await client.call('get_conversations')
    expect(conversations.structured).toMatchObject({ conversations: [], total: 0 })
    const history = await client.call('get_conversation_history', {
      conversation_id: world.conversationId,
    })
    expect(history.structured.error.code).toBe('not_found')
  })

  test('a wrong password tells no more than an unknown name', async () => {
    const guess = { password: eve.password }
    const unknown = await asEve('modern', 'authenticate_user', { username: 'nobody-1', ...guess })
    const known = await asEve('modern', 'authenticate_user', { username: ada.username, ...guess })
    expect(known).toEqual(unknown)
    expect(known.structured.error.code).toBe('invalid_credentials')
  })

  test("registering under another's name or address changes nothing of theirs", async () => {
    const fresh = { username: 'mallory', email: 'mallory@example.com', anthropic_api_key: 'sk-m' }
    const takenName = await eves.modern.call('register_user', {
      ...fresh,
      username: ada.username.toUpperCase(),
    })
    expect(takenName.structured.error.code).toBe('username_taken')
    const takenEmail = await eves.modern.call('register_user', {
      ...fresh,
      email: ada.email.toUpperCase(),
    })
    expect(takenEmail.structured.error.code).toBe('email_taken')
    app.claude.reset()
    const { username, password } = ada
    const again = await adas.modern.call('authenticate_user', { username, password })
    expect(again.structured.data.user_id).toBe(ada.userId)
    await adas.modern.call('send_message', { message: 'still with my own key' })
    expect(app.claude.messageRequests().map(({ key }) => key)).toEqual([ada.apiKey])
  })

  test("replacing one's key leaves another's alone", async () => {
    app.claude.reset()
    const replaced = await eves.modern.call('update_api_key', {
      anthropic_api_key: 'sk-ant-api03-eves-new-key',
    })
    expect(replaced.structured.data).toEqual({ last_four: '-key' })
    await adas.modern.call('send_message', { message: 'with my own key' })
    await eves.modern.call('send_message', { message: 'with my new key' })
    const keys = app.claude.messageRequests().map(({ key }) => key)
    expect(keys).toEqual([ada.apiKey, 'sk-ant-api03-eves-new-key'])
  })

  test("signing out everywhere, and rotating, end one's own sessions only", async () => {
    await asEve('modern', 'rotate_token', {})
    const { username, password } = eve
    const signedIn = await adas.modern.call('authenticate_user', { username, password })
    const token: string = signedIn.structured.data.access_token
    const client = await app.connect('modern', token)
    await client.call('revoke_token', { all_sessions: true })
    expect(
      (await post(app.url, toolCall('modern', 'get_conversations', {}), bearer(token))).status,
    ).toBe(401)
    expect((await adas.modern.call('get_conversations')).isError).toBe(false)
  })
})
