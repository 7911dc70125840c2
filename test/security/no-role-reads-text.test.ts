/** Whatever their role: nobody reads what others wrote, on no page and by no tool that lists. */

import { afterAll, beforeAll, expect, test } from 'vitest'
import { catalogue } from '../../src/mcp/catalogue.ts'
import { describeDatabases } from '../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../support/start-app.ts'
import { browserOf, PASSWORD, signIn, signUp, type Visitor } from '../web/pages/visiting.ts'

const CANARIES = {
  text: 'canary-in-a-message',
  title: 'canary-in-a-title',
  systemPrompt: 'canary-in-a-system-prompt',
  stopSequence: 'canary-stop',
  answer: 'canary-in-an-answer',
}
const OWN = 'https://gateway.example'

/** Tools that only end, make or change something of the caller's own. */
const NOT_FOR_READING = new Set([
  ...['register_user', 'authenticate_user', 'rotate_token', 'revoke_token', 'delete_my_account'],
  ...['change_password', 'update_api_key', 'set_budget', 'send_message', 'manage_team'],
  'request_budget',
])

describeDatabases('text', (kind) => {
  let app: TestApp
  let adas: TestClient
  let conversationId: string
  let messageId: string
  let teamId: string
  const visitors: Record<string, Visitor> = {}
  const clients: Record<string, TestClient> = {}

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'boss', PUBLIC_URL: OWN } })
    app.claude.setReply(() => CANARIES.answer)
    const { services } = app.app
    const ada = await app.register()
    adas = await app.connect('legacy', ada.accessToken)
    const sent = await adas.call('send_message', {
      message: CANARIES.text,
      system_prompt: CANARIES.systemPrompt,
      stop_sequences: [CANARIES.stopSequence],
    })
    conversationId = sent.structured.data.conversation_id
    messageId = sent.structured.data.message_id
    const conversation_id = conversationId
    await adas.call('update_conversation', { conversation_id, title: CANARIES.title })
    const friend = await signUp(app)
    const shared = { conversation_id, with: { username: friend.username }, role: 'contributor' }
    await adas.call('share_conversation', shared)
    await adas.call('share_conversation', {
      conversation_id,
      with: { link: 'signed-in' },
      role: 'viewer',
    })
    ;({ id: teamId } = await services.teams.add(ada.userId, 'Canary watchers'))

    const boss = await app.register('boss')
    visitors['listed admin'] = { ...boss, browser: browserOf(app) }
    await signIn(visitors['listed admin'].browser, 'boss', boss.password)
    clients['listed admin'] = await app.connect('legacy', boss.accessToken)
    for (const role of ['admin', 'auditor', 'team owner', 'team member', 'outsider']) {
      const visitor = await signUp(app)
      const { username, userId } = visitor
      if (role === 'admin' || role === 'auditor') {
        await services.userAdministration.setRole('operator', username, role)
      }
      if (role === 'team owner') await services.teamMembers.add(userId, teamId, 'owner')
      if (role === 'team member') await services.teamMembers.add(userId, teamId, 'member')
      visitors[role] = visitor
      const { accessToken } = await services.accounts.authenticate(username, PASSWORD)
      clients[role] = await app.connect('legacy', accessToken)
    }
  })
  afterAll(() => app.close())

  const ROLES = ['listed admin', 'admin', 'auditor', 'team owner', 'team member', 'outsider']
  const expectNoCanary = (shown: string, where: string) => {
    for (const canary of Object.values(CANARIES)) expect(shown, where).not.toContain(canary)
  }

  test('is there, for its owner', async () => {
    const conversation_id = conversationId
    const { text } = await adas.call('get_conversation_history', { conversation_id })
    for (const canary of [CANARIES.text, CANARIES.answer]) expect(text).toContain(canary)
    const listed = await adas.call('get_conversations')
    expect(listed.text).toContain(CANARIES.title)
  })

  test.each(ROLES)('is on no page that leads from page to page, as %s', async (role) => {
    const { browser } = visitors[role] as Visitor
    const seen = new Set<string>()
    const open = ['/', '/account', '/admin', '/account/usage', '/account/data', '/account/links']
    while (open.length > 0) {
      const path = open.pop() as string
      if (seen.has(path)) continue
      seen.add(path)
      const { html, headers } = await browser.open(path)
      expectNoCanary(html + JSON.stringify([...headers]), `${role} ${path}`)
      for (const [, href = ''] of html.matchAll(/href="(\/[^"#]*)"/g)) {
        open.push(href.replaceAll('&amp;', '&'))
      }
    }
    const isWatching = role.endsWith('admin') || role === 'auditor'
    const administration = [...seen].filter((path) => path.startsWith('/admin/'))
    if (isWatching) expect(administration).toContain(`/admin/teams/${teamId}`)
    expect(seen.size).toBeGreaterThan(10)
    expect((await browser.open('/admin/users')).status).toBe(isWatching ? 200 : 403)
  })

  test.each(ROLES)('is at no address that names it, as %s', async (role) => {
    const { browser } = visitors[role] as Visitor
    for (const path of [
      `/account/conversations/${conversationId}`,
      `/account/conversations/${conversationId}/export`,
      `/account/conversations/${conversationId}/export?format=json`,
      `/account/shares?conversation=${conversationId}`,
      `/account/links?conversation=${conversationId}`,
      `/account/conversations/${messageId}`,
    ]) {
      expectNoCanary((await browser.open(path)).html, `${role} ${path}`)
    }
  })

  test.each(ROLES)('is in no answer of a tool that reads, as %s', async (role) => {
    const client = clients[role] as TestClient
    const reading = catalogue
      .map(({ tool }) => tool.name)
      .filter((name) => !NOT_FOR_READING.has(name))
    expect(reading.length).toBeGreaterThan(10)
    for (const name of reading) {
      const tries = [
        {},
        { conversation_id: conversationId },
        { message_id: messageId },
        { query: 'canary' },
        { filter: 'all' },
        { group_by: 'user' },
        { group_by: 'conversation' },
        { team: teamId },
      ]
      for (const args of tries) {
        const { text, structured } = await client.call(name, args)
        expectNoCanary(text + JSON.stringify(structured), `${role} ${name}`)
      }
    }
    for (const uri of [
      'mcp://claude-api-gateway/metrics',
      `mcp://claude-api-gateway/conversations/${conversationId}`,
    ]) {
      const read = await client.raw.readResource({ uri }).catch((error: unknown) => error)
      expectNoCanary(JSON.stringify(read) + String(read), `${role} ${uri}`)
    }
  })

  test('is in no event of the audit log', async () => {
    const { auditEvents } = app.app.repositories
    for (const chain of await auditEvents.listChains()) {
      expectNoCanary(JSON.stringify(await auditEvents.list(chain, '0', 1000)), chain)
    }
  })
})
