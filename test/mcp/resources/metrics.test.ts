import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { type Era, eras, startApp, type TestApp, type TestUser } from '../../support/start-app.ts'

const URI = 'mcp://claude-api-gateway/metrics'
const TIMES = { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number) }
const NO_TIMES = { p50: null, p95: null, p99: null }

describeDatabases('metrics', (kind) => {
  let app: TestApp
  let ada: TestUser
  let bob: TestUser
  let idle: TestUser
  let root: TestUser

  beforeAll(async () => {
    app = await startApp({ kind, env: { ADMIN_USERNAMES: 'somebody, Root' } })
    ada = await app.register()
    bob = await app.register()
    idle = await app.register()
    root = await app.register('rOOT')
    const anyone = await app.connect('legacy')
    const send = (access_token: string, more = {}) =>
      anyone.call('send_message', { access_token, message: 'Hello.', ...more })
    const { conversation_id } = (await send(ada.accessToken)).structured.data
    await send(ada.accessToken, { conversation_id })
    await send(bob.accessToken)
    app.claude.script({ kind: 'status', status: 400 })
    await send(bob.accessToken)
    const signIn = (username: string) =>
      anyone.call('authenticate_user', { username, password: 'not it' })
    await signIn(ada.username)
    await signIn(ada.username)
    await signIn('nobody-here')
    const { username, password } = bob
    await anyone.call('authenticate_user', { username, password })
  })
  afterAll(() => app.close())

  const read = async (era: Era, accessToken?: string) => {
    const { raw } = await app.connect(era, accessToken)
    const { contents } = await raw.readResource({ uri: URI })
    expect(contents).toEqual([{ uri: URI, mimeType: 'application/json', text: expect.any(String) }])
    return JSON.parse((contents[0] as { text: string }).text)
  }

  describe.each(eras)('%s era', (era) => {
    test('is listed', async () => {
      const { raw } = await app.connect(era)
      const { resources } = await raw.listResources()
      expect(resources).toContainEqual(
        expect.objectContaining({ uri: URI, name: 'metrics', mimeType: 'application/json' }),
      )
    })

    test('a user sees their own five groups', async () => {
      expect(await read(era, ada.accessToken)).toEqual({
        scope: 'own',
        active_users: 1,
        total_conversations: 1,
        messages_last_24h: 4,
        performance: { window_hours: 24, send_message_ms: TIMES, gateway_overhead_ms: TIMES },
        security: {
          encryption_key_id: expect.any(String),
          failed_sign_ins_last_24h: 2,
          active_sessions: 1,
        },
      })
    })

    test('anonymous is refused with 401', async () => {
      const { raw } = await app.connect(era)
      await expect(raw.readResource({ uri: URI })).rejects.toThrow()
    })
  })

  test('the figures of two users are not mixed', async () => {
    expect(await read('legacy', bob.accessToken)).toMatchObject({
      active_users: 1,
      total_conversations: 1,
      messages_last_24h: 4,
      security: { failed_sign_ins_last_24h: 0, active_sessions: 2 },
    })
  })

  test('a user who did nothing has nothing', async () => {
    expect(await read('modern', idle.accessToken)).toMatchObject({
      active_users: 0,
      total_conversations: 0,
      messages_last_24h: 0,
      performance: { send_message_ms: NO_TIMES, gateway_overhead_ms: NO_TIMES },
    })
  })

  test('an admin, named in any case, sees everybody’s', async () => {
    const figures = await read('modern', root.accessToken)
    expect(figures).toMatchObject({
      scope: 'everybody',
      active_users: 2,
      total_conversations: 2,
      messages_last_24h: 8,
      performance: { send_message_ms: TIMES },
      security: { failed_sign_ins_last_24h: 3, active_sessions: 5 },
    })
    const { send_message_ms: send, gateway_overhead_ms: own } = figures.performance
    expect(send.p50).toBeLessThanOrEqual(send.p95)
    expect(send.p95).toBeLessThanOrEqual(send.p99)
    expect(own.p50).toBeLessThanOrEqual(send.p50)
  })

  test('what is stored of a key is its id, not the key', async () => {
    const { security } = await read('legacy', ada.accessToken)
    const key = app.config.secrets.encryptionKey
    expect(security.encryption_key_id.length).toBeLessThan(32)
    if (key) {
      expect(key.toString('hex')).not.toContain(security.encryption_key_id)
      expect(key.toString('base64url')).not.toContain(security.encryption_key_id)
    }
  })
})
