import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases, hasPostgresql } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'
import { postCall } from '../raw-call.ts'
import { startSecondReplica } from '../second-replica.ts'

describeDatabases('rotate_token', (kind) => {
  let app: TestApp
  let anyone: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    anyone = await app.connect('modern')
  })
  afterAll(() => app.close())

  const rotate = (token: string) => anyone.call('rotate_token', { access_token: token })
  const codeOf = async (token: string) => {
    const { structured } = await anyone.call('get_conversations', { access_token: token })
    return structured.error?.code ?? 'good'
  }

  test('gives a new token for the old one, which dies at once', async () => {
    const { accessToken, userId } = await app.register()
    const { structured } = await rotate(accessToken)
    expect(structured).toEqual({
      success: true,
      data: {
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_at: expect.stringMatching(/Z$/),
        user_id: userId,
      },
    })
    const { access_token: fresh } = structured.data
    expect(decodeJwt(fresh).jti).not.toBe(decodeJwt(accessToken).jti)
    expect([await codeOf(accessToken), await codeOf(fresh)]).toEqual(['unauthenticated', 'good'])

    const headers = { Authorization: `Bearer ${accessToken}` }
    const byHeader = await postCall(app.url, 'modern', 'rotate_token', {}, { headers })
    expect(byHeader.status).toBe(401)
  })

  test('of many rotations of one token at once one wins', async () => {
    const { accessToken } = await app.register()
    const answers = await Promise.all([1, 2, 3, 4].map(() => rotate(accessToken)))
    const [winner, ...others] = answers.sort((a, b) => Number(a.isError) - Number(b.isError))
    expect(await codeOf(winner?.structured.data.access_token)).toBe('good')
    for (const { structured } of others) expect(structured.error.code).toBe('unauthenticated')
    const { structured } = await anyone.call('revoke_token', {
      access_token: winner?.structured.data.access_token,
      all_sessions: true,
    })
    expect(structured.data.revoked_sessions, 'nobody else got a session').toBe(1)
  })

  test('leaves other sessions alone', async () => {
    const { username, password, accessToken } = await app.register()
    const { structured } = await anyone.call('authenticate_user', { username, password })
    await rotate(structured.data.access_token)
    expect(await codeOf(accessToken)).toBe('good')
  })
})

describe.runIf(hasPostgresql)('two replicas', () => {
  test('what one replica ends is over on the other', async () => {
    const app = await startApp({ kind: 'postgresql' })
    const second = await startSecondReplica(app)
    try {
      const { accessToken } = await app.register()
      const [here, there] = [await app.connect('modern'), await second.connect('modern')]
      const ask = (token: string) => there.call('get_conversations', { access_token: token })
      expect((await ask(accessToken)).isError, 'both sign with the same key').toBe(false)

      const rotated = await here.call('rotate_token', { access_token: accessToken })
      const fresh: string = rotated.structured.data.access_token
      expect((await ask(accessToken)).structured.error.code).toBe('unauthenticated')
      expect((await ask(fresh)).isError).toBe(false)

      const both = [here, there].map((one) => one.call('rotate_token', { access_token: fresh }))
      const outcomes = (await Promise.all(both)).map(({ isError }) => isError)
      expect(outcomes.sort()).toEqual([false, true])
      expect((await ask(fresh)).structured.error.code).toBe('unauthenticated')
    } finally {
      await second.close()
      await app.close()
    }
  })
})
