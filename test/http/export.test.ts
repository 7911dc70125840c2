import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeDatabases } from '../support/databases.ts'
import { personalToken } from '../support/signed-up.ts'
import { startApp, type TestApp, type TestUser } from '../support/start-app.ts'

describeDatabases('GET /account/export', (kind) => {
  let app: TestApp
  let user: TestUser
  beforeAll(async () => {
    app = await startApp({ kind })
    user = await app.register()
    const client = await app.connect('legacy', user.accessToken)
    await client.call('send_message', { message: 'keep this' })
  })
  afterAll(() => app.close())

  const get = (headers: Record<string, string>) =>
    fetch(`${app.baseUrl}/account/export`, { headers, redirect: 'manual' })

  test('is the whole document for the holder of an access token', async () => {
    const answer = await get({ Authorization: `Bearer ${user.accessToken}` })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('content-disposition')).toMatch(
      /^attachment; filename=claude-api-gateway-\d{4}-\d\d-\d\d\.json$/,
    )
    expect(await answer.json()).toMatchObject({
      user: { id: user.userId },
      conversations: [{ messages: [{ content: 'keep this' }, { role: 'assistant' }] }],
    })
  })

  test.each([
    ['a wrong token', async () => `Bearer ${user.accessToken}x`, 401, 'unauthenticated'],
    ['another scheme', async () => 'Basic YWRhOnB3', 401, 'unauthenticated'],
    [
      'a token that may not read it all',
      async () => {
        const caller = await app.app.services.sessions.resolve(user.accessToken)
        return `Bearer ${(await personalToken(app, caller, ['conversations:read'])).token}`
      },
      403,
      'insufficient_scope',
    ],
  ])('%s is refused as JSON', async (_, authorization, status, code) => {
    const answer = await get({ Authorization: await authorization(), Accept: 'text/html' })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-disposition')).toBeNull()
    expect(answer.headers.has('www-authenticate')).toBe(status === 401)
    expect(await answer.json()).toMatchObject({ success: false, error: { code } })
  })

  test('a browser is sent to the page that has it', async () => {
    const answer = await get({})
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toBe('/account/data')
  })

  test('a download that is given up does no harm', async () => {
    const hoarder = await app.register()
    const client = await app.connect('legacy', hoarder.accessToken)
    await client.call('send_message', { message: 'x'.repeat(3_000_000) })
    const headers = { Authorization: `Bearer ${hoarder.accessToken}` }
    await new Promise<void>((resolve, reject) => {
      const asked = request(`${app.baseUrl}/account/export`, { headers }, (answer) => {
        answer.once('data', () => {
          answer.destroy()
          resolve()
        })
      })
      asked.on('error', reject).end()
    })
    const given = () => app.logLines.filter((line) => line.includes('"route":"/account/export"'))
    await expect.poll(() => given().at(-1)).toContain('"aborted":true')
    const again = await get(headers)
    expect((await again.text()).length).toBeGreaterThan(3_000_000)
  })
})
