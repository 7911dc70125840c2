/** The three health pages, with the database there and away. */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeDatabases, freshDatabaseOptions, hasPostgresql } from '../support/databases.ts'
import { type PausableProxy, startPausableProxy } from '../support/pausable-proxy.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, get, message, post, toolCall } from './posting.ts'

async function statuses({ baseUrl }: TestApp) {
  const pages = ['/livez', '/readyz', '/health'].map((path) => get(baseUrl + path))
  const [livez, readyz, health] = (await Promise.all(pages)).map(({ status }) => status)
  return { livez, readyz, health }
}

describeDatabases('health', (kind) => {
  let app: TestApp
  beforeAll(async () => {
    app = await startApp({ kind })
  })
  afterAll(() => app.close())

  test('all is well', async () => {
    expect(await statuses(app)).toEqual({ livez: 200, readyz: 200, health: 200 })
    expect((await get(`${app.baseUrl}/livez`)).json).toEqual({ status: 'ok' })
    expect((await get(`${app.baseUrl}/readyz`)).json).toEqual({ status: 'ok' })
  })

  test('the summary is the tool’s', async () => {
    const { json: page } = await get(`${app.baseUrl}/health`)
    expect(page).toEqual({
      status: 'healthy',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      uptime_seconds: expect.any(Number),
      database: { kind, reachable: true, latency_ms: expect.any(Number) },
      upstream: { status: 'unknown', last_seen_at: null },
    })
    const { json } = await post(app.url, toolCall('health_check'))
    const changing = { uptime_seconds: expect.any(Number), database: expect.any(Object) }
    expect(json.result.structuredContent.data).toEqual({ ...page, ...changing })
  })

  test('Claude is shown as the last call found it, and never asked for this', async () => {
    await app.register()
    const asked = app.claude.journal.length
    // A page that was asked for just before serves the next who ask, too.
    await expect
      .poll(async () => (await get(`${app.baseUrl}/health`)).json.upstream)
      .toEqual({ status: 'reachable', last_seen_at: expect.any(String) })
    expect(app.claude.journal.length).toBe(asked)
  })

  test('a gateway that is stopping is alive and healthy, but wants no more work', async () => {
    const stopping = await startApp({ kind })
    stopping.app.services.health.leave()
    expect(await statuses(stopping)).toEqual({ livez: 200, readyz: 503, health: 200 })
    await stopping.close()
  })
})

describe.runIf(hasPostgresql)('with PostgreSQL away', () => {
  let proxy: PausableProxy
  let app: TestApp
  let ada: TestUser
  let drop: () => Promise<void>

  beforeAll(async () => {
    const fresh = await freshDatabaseOptions('postgresql')
    proxy = await startPausableProxy(fresh.url ?? '')
    drop = fresh.drop
    app = await startApp({
      kind: 'postgresql',
      database: { url: proxy.url, dataDir: fresh.dataDir },
      env: { ENCRYPTION_KEY: randomBytes(32).toString('base64') },
    })
    ada = await app.register()
  })
  afterAll(async () => {
    await app.close()
    await proxy.close()
    await drop()
  })

  test('the pages say so, and the process lives on', async () => {
    proxy.cut()
    expect(await statuses(app)).toEqual({ livez: 200, readyz: 503, health: 503 })
    const { json } = await get(`${app.baseUrl}/health`)
    expect(json).toMatchObject({
      status: 'unhealthy',
      database: { kind: 'postgresql', reachable: false, latency_ms: null },
    })
    expect((await get(`${app.baseUrl}/readyz`)).json).toEqual({ status: 'not ready' })
  })

  test('a good token is not called bad: 401 would make clients throw it away', async () => {
    const error = { code: 'database_unavailable', retryable: true }
    const listed = await post(app.url, message('tools/list'), bearer(ada.accessToken))
    expect(listed.status).toBe(503)
    expect(listed.headers.get('www-authenticate')).toBeNull()
    expect(listed.json).toMatchObject({ jsonrpc: '2.0', id: 1, error: { data: error } })
    const called = await post(app.url, toolCall('get_conversations'), bearer(ada.accessToken))
    expect(called.status, 'a client that gets a 503 drops the server').toBe(200)
    expect(called.json.result).toMatchObject({ isError: true, structuredContent: { error } })
  })

  test.each([
    ['get_conversations', () => ({ access_token: ada.accessToken })],
    ['send_message', () => ({ access_token: ada.accessToken, message: 'hi' })],
    ['authenticate_user', () => ({ username: ada.username, password: ada.password })],
    [
      'register_user',
      () => ({ username: 'bob', email: 'bob@example.com', anthropic_api_key: 'sk-ant-api03-b' }),
    ],
  ])('%s answers that the database is away', async (tool, args) => {
    const { status, json } = await post(app.url, toolCall(tool, args()))
    expect(status).toBe(200)
    expect(json.result).toMatchObject({
      isError: true,
      structuredContent: { error: { code: 'database_unavailable', retryable: true } },
    })
  })

  test.each(eras)('what needs no database is served to a %s client', async (era) => {
    const client = await app.connect(era)
    const health = await client.call('health_check')
    expect(health).toMatchObject({
      isError: false,
      structured: { data: { status: 'unhealthy', database: { reachable: false } } },
    })
  })

  test('when it is back, so is everything', async () => {
    proxy.resume()
    // What was found out just before may be said once more.
    await expect.poll(() => statuses(app)).toEqual({ livez: 200, readyz: 200, health: 200 })
    const { json } = await post(app.url, toolCall('get_conversations'), bearer(ada.accessToken))
    expect(json.result.structuredContent).toMatchObject({ success: true, total: 0 })
  })

  test('a network that swallows everything does not hold the pages up', async () => {
    proxy.pause()
    await expect.poll(() => statuses(app)).toEqual({ livez: 200, readyz: 503, health: 503 })
    proxy.cut()
    proxy.resume()
    await expect.poll(() => statuses(app)).toEqual({ livez: 200, readyz: 200, health: 200 })
  })
})
