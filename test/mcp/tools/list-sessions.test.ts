import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALL_SCOPES } from '../../../src/services/access/scopes.ts'
import { describeDatabases } from '../../support/databases.ts'
import { personalToken, proofOf } from '../../support/signed-up.ts'
import {
  eras,
  startApp,
  type TestApp,
  type TestClient,
  type TestUser,
} from '../../support/start-app.ts'

describeDatabases('list_sessions', (kind) => {
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    await app.register()
  })
  afterAll(() => app.close())

  const ofUser = () => app.app.services.sessions.resolve(user.accessToken)
  const list = async (client: TestClient) => (await client.call('list_sessions')).structured.data

  test('shows every kind, newest first, and none of the secrets', async () => {
    const { sessions } = app.app.services
    const caller = await ofUser()
    const proof = await proofOf(app, user.userId)
    const cookie = await sessions.beginBrowserSession(proof, new Date(Date.now() + 60_000))
    const { token, id } = await personalToken(app, caller, ['usage:read', 'account'])
    const client = await app.connect('legacy', user.accessToken)
    const answer = await client.call('list_sessions')
    const [personal, browser, password] = answer.structured.data.sessions
    expect(answer.structured.data.sessions).toHaveLength(3)
    expect(personal).toEqual({
      id,
      kind: 'personal',
      name: 'an agent',
      scopes: ['usage:read', 'account'],
      created_at: expect.stringMatching(/Z$/),
      last_used_at: null,
      expires_at: expect.stringMatching(/Z$/),
      is_current: false,
      limit_usd: null,
      spent_usd: null,
    })
    expect(browser).toMatchObject({ kind: 'browser', name: null, is_current: false })
    expect(browser.scopes).toEqual(ALL_SCOPES)
    expect(password).toMatchObject({ kind: 'password', id: caller.sessionId, is_current: true })
    for (const secret of [cookie, token, user.accessToken])
      expect(answer.text).not.toContain(secret)
    await sessions.revokeOne(caller, id)
    expect((await list(client)).sessions.map((row: { id: string }) => row.id)).not.toContain(id)
  })

  test('shows what a capped connection spent this month, and of others nothing', async () => {
    const { sessions } = app.app.repositories
    const connection = (limitNanoUsd: bigint | null) => ({
      id: randomUUID(),
      userId: user.userId,
      kind: 'connection' as const,
      name: 'Claude Code',
      clientId: 'https://client.example/metadata.json',
      scopes: ['messages:send', 'a-scope-of-tomorrow'],
      limitNanoUsd,
      tokenHash: randomBytes(32),
      expiresAt: new Date(Date.now() + 60_000),
    })
    const [capped, free] = [connection(2_500_000_000n), connection(null)]
    await sessions.insert(capped)
    await sessions.insert(free)
    const client = await app.connect('modern', user.accessToken)
    const rows: { id: string }[] = (await list(client)).sessions
    const find = (id: string) => rows.find((row) => row.id === id)
    expect(find(capped.id)).toMatchObject({ name: 'Claude Code', limit_usd: 2.5, spent_usd: 0 })
    expect(find(free.id)).toMatchObject({
      scopes: ['messages:send'],
      limit_usd: null,
      spent_usd: null,
    })
  })

  describe.each(eras)('in the %s era', (era) => {
    test('needs the scope account', async () => {
      const { token } = await personalToken(app, await ofUser(), ['usage:read'], era)
      const anyone = await app.connect(era)
      const { structured } = await anyone.call('list_sessions', { access_token: token })
      expect(structured.error.code).toBe('insufficient_scope')
    })
  })
})
