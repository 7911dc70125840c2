import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

describeDatabases('revoke_token', (kind) => {
  let app: TestApp
  let anyone: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    anyone = await app.connect('legacy')
  })
  afterAll(() => app.close())

  const revoke = (token: string, more = {}) =>
    anyone.call('revoke_token', { access_token: token, ...more })
  const codeOf = async (token: string) => {
    const { structured } = await anyone.call('get_conversations', { access_token: token })
    return structured.error?.code ?? 'good'
  }
  const signInAgain = async ({ username, password }: TestUser): Promise<string> => {
    const { structured } = await anyone.call('authenticate_user', { username, password })
    return structured.data.access_token
  }

  test('ends this session and no other', async () => {
    const user = await app.register()
    const other = await signInAgain(user)
    const { structured } = await revoke(user.accessToken)
    expect(structured).toEqual({ success: true, data: { revoked_sessions: 1 } })
    expect([await codeOf(user.accessToken), await codeOf(other)]).toEqual([
      'unauthenticated',
      'good',
    ])
  })

  test('all_sessions ends every live one of the user, and nobody else’s', async () => {
    const [user, neighbour] = [await app.register(), await app.register()]
    const others = [await signInAgain(user), await signInAgain(user)]
    await revoke(others[0] ?? '')
    const { structured } = await revoke(user.accessToken, { all_sessions: true })
    expect(structured.data).toEqual({ revoked_sessions: 2 })
    for (const token of [user.accessToken, ...others]) {
      expect(await codeOf(token)).toBe('unauthenticated')
    }
    expect(await codeOf(neighbour.accessToken)).toBe('good')
    expect(await codeOf(await signInAgain(user)), 'signing in again is free').toBe('good')
  })

  test('session_id ends that one, once, and only one’s own', async () => {
    const [user, neighbour] = [await app.register(), await app.register()]
    const other = await signInAgain(user)
    const { structured: listed } = await anyone.call('list_sessions', { access_token: other })
    const session = listed.data.sessions.find((row: { is_current: boolean }) => row.is_current)
    const theirs = await revoke(neighbour.accessToken, { session_id: session.id })
    expect(theirs.structured.error).toMatchObject({
      code: 'not_found',
      details: { field: 'session_id' },
    })
    expect(await codeOf(other)).toBe('good')
    const ended = await revoke(user.accessToken, { session_id: session.id })
    expect(ended.structured.data).toEqual({ revoked_sessions: 1 })
    const again = await revoke(user.accessToken, { session_id: session.id })
    expect(again.structured.error).toEqual(theirs.structured.error)
    expect([await codeOf(other), await codeOf(user.accessToken)]).toEqual([
      'unauthenticated',
      'good',
    ])
  })

  test('session_id and all_sessions together end nothing', async () => {
    const user = await app.register()
    const { structured: listed } = await anyone.call('list_sessions', {
      access_token: user.accessToken,
    })
    const both = { session_id: listed.data.sessions[0].id, all_sessions: true }
    expect((await revoke(user.accessToken, both)).structured.error.code).toBe('invalid_input')
    expect(await codeOf(user.accessToken)).toBe('good')
  })

  test('a token that was revoked revokes nothing any more', async () => {
    const user = await app.register()
    const other = await signInAgain(user)
    await revoke(user.accessToken)
    const { structured } = await revoke(user.accessToken, { all_sessions: true })
    expect(structured.error.code).toBe('unauthenticated')
    expect(await codeOf(other)).toBe('good')
  })
})
