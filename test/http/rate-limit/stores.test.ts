/** Limits over several processes: counters in PostgreSQL or Redis, and what holds without them. */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { userCounters } from '../../../src/http/rate-limit/rate-limit.ts'
import { freshDatabaseOptions, hasPostgresql } from '../../support/databases.ts'
import { freePort } from '../../support/free-port.ts'
import { PATIENCE } from '../../support/patience.ts'
import { startPausableProxy } from '../../support/pausable-proxy.ts'
import { hasRedis } from '../../support/redis.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'
import { type Answered, bearer, message, post, toolCall } from '../posting.ts'

const LIMIT = 6
const env = {
  REQUESTS_PER_MINUTE: String(LIMIT),
  ANONYMOUS_REQUESTS_PER_MINUTE: String(LIMIT),
}

const list = (app: TestApp) => post(app.url, message('tools/list'))
const statusOf = ({ status }: Answered) => status

async function times<T>(count: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let i = 0; i < count; i++) results.push(await work())
  return results
}

describe.runIf(hasPostgresql)('two gateways on one PostgreSQL', () => {
  let apps: [TestApp, TestApp]
  let drop: () => Promise<void>

  beforeAll(async () => {
    const fresh = await freshDatabaseOptions('postgresql')
    drop = fresh.drop
    const ENCRYPTION_KEY = randomBytes(32).toString('base64')
    const start = () =>
      startApp({ kind: 'postgresql', database: fresh, env: { ...env, ENCRYPTION_KEY } })
    apps = [await start(), await start()]
  })
  afterAll(async () => {
    for (const app of apps) await app.close()
    await drop()
  })

  test('a user has one limit, whichever answers', async () => {
    const [one, other] = apps
    const { accounts } = one.app.services
    const username = randomUUID()
    const account = { username, email: `${username}@example.com`, apiKey: 'sk-ant-api03-x' }
    const { password } = await accounts.register(account)
    const { accessToken } = await accounts.authenticate(username, password)
    const ask = (app: TestApp) => post(app.url, toolCall('get_conversations'), bearer(accessToken))
    const codeOf = ({ json }: Answered) => json.result.structuredContent.error?.code ?? 'ok'
    const before = [
      ...(await times(LIMIT / 2, () => ask(one))),
      ...(await times(LIMIT / 2, () => ask(other))),
    ]
    expect(before.map(codeOf)).toEqual(Array(LIMIT).fill('ok'))
    expect([await ask(one), await ask(other)].map(codeOf)).toEqual(['rate_limited', 'rate_limited'])
  })

  test('the statement that finds a session and the limiter count in the same row', async () => {
    const [{ app, url }] = apps
    const { accounts } = app.services
    const username = randomUUID()
    const account = { username, email: `${username}@example.com`, apiKey: 'sk-ant-api03-x' }
    const { password, userId } = await accounts.register(account)
    const signIn = async () => (await accounts.authenticate(username, password)).accessToken
    const [token, second] = [await signIn(), await signIn()]
    const counts = async () => {
      const rows = app.db.selectFrom('rateLimits').select(['key', 'hits'])
      return rows.where('key', 'like', `%${userId}%`).execute()
    }
    const counters = userCounters({ requestsPerMinute: 1, messagesApiRequestsPerMinute: 1 })
    const key = `${counters.requests.keyPrefix}${userId}`
    await post(url, toolCall('get_conversations'), bearer(token))
    expect(await counts()).toEqual([{ key, hits: 1 }])
    // Of two tokens neither statement counts: the limiter does.
    const both = toolCall('get_conversations', { access_token: second })
    await post(url, both, bearer(token))
    expect(await counts()).toEqual([{ key, hits: 2 }])
  })

  test('an address has one limit, also when all ask at once', async () => {
    const [one, other] = apps
    const answers = await Promise.all(
      Array.from({ length: 2 * LIMIT }, (_, i) => list(i % 2 ? one : other)),
    )
    expect(answers.map(statusOf).sort()).toEqual([
      ...Array(LIMIT).fill(200),
      ...Array(LIMIT).fill(429),
    ])
    expect(statusOf(await list(one))).toBe(429)
  })
})

test.runIf(hasPostgresql)(
  'with PostgreSQL away each gateway holds its own limit, and says so in its log',
  async () => {
    const fresh = await freshDatabaseOptions('postgresql')
    const proxy = await startPausableProxy(fresh.url ?? '')
    const app = await startApp({
      kind: 'postgresql',
      database: { url: proxy.url, dataDir: fresh.dataDir },
      env: { ...env, ENCRYPTION_KEY: randomBytes(32).toString('base64') },
    })
    onTestFinished(async () => {
      await app.close()
      await proxy.close()
      await fresh.drop()
    })
    proxy.cut()
    expect((await times(LIMIT, () => list(app))).map(statusOf)).toEqual(Array(LIMIT).fill(200))
    const limited = await list(app)
    expect(limited).toMatchObject({
      status: 429,
      json: { error: { data: { code: 'rate_limited' } } },
    })
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
    const warning = app.logLines.find((line) => line.includes('error from store'))
    expect(JSON.parse(warning ?? '{}')).toMatchObject({
      level: 'warn',
      err: { type: 'AppError', code: 'database_unavailable' },
    })
  },
)

describe.runIf(hasRedis)('two gateways with one Redis and nothing else in common', () => {
  let port: number
  let redis: { stop(): Promise<void> }
  let one: TestApp
  let other: TestApp

  beforeAll(async () => {
    port = await freePort()
    redis = await startRedis(port)
    one = await start()
  })
  afterAll(async () => {
    await one.close()
    await other.close()
    await redis.stop()
  })

  const start = () => {
    const REDIS_URL = `redis://127.0.0.1:${port}`
    return startApp({ kind: 'embedded', env: { ...env, REDIS_URL, TRUST_PROXY: '1' } })
  }
  const from = (address: string) => (app: TestApp) =>
    post(app.url, message('tools/list'), { 'x-forwarded-for': address })

  /** What the shared counter says is left; it says nothing while it is away. */
  const leftOf = ({ headers }: Answered) =>
    /^"requests"; r=(\d+); t=\d+$/.exec(headers.get('ratelimit') ?? '')?.[1]

  test('it counts from the first request', async () => {
    let attempt = 0
    // On a very busy machine it may take Redis longer than a request waits for it.
    const counted = async () => {
      attempt += 1
      expect(leftOf(await from(`198.51.100.${100 + attempt}`)(one))).toBe(String(LIMIT - 1))
    }
    await vi.waitFor(counted, { ...PATIENCE, interval: 250 })
  })

  test('without it a gateway starts, and each holds its own limit', async () => {
    await redis.stop()
    other = await start()
    for (const app of [one, other]) {
      const list = () => from('198.51.100.2')(app)
      expect((await times(LIMIT, list)).map(statusOf)).toEqual(Array(LIMIT).fill(200))
      expect(statusOf(await list())).toBe(429)
    }
  })

  test('when it comes, an address has one limit, whichever answers', async () => {
    redis = await startRedis(port)
    let attempt = 0
    const reconnected = async () => {
      attempt += 1
      for (const app of [one, other]) {
        expect(leftOf(await from(`203.0.113.${attempt}`)(app))).toBeTruthy()
      }
    }
    await vi.waitFor(reconnected, { ...PATIENCE, interval: 250 })
    const list = from('198.51.100.3')
    const before = [
      ...(await times(LIMIT / 2, () => list(one))),
      ...(await times(LIMIT / 2, () => list(other))),
    ]
    expect(before.map(leftOf)).toEqual(['5', '4', '3', '2', '1', '0'])
    const after = [await list(one), await list(other)]
    expect(after.map(statusOf)).toEqual([429, 429])
  })
})

test.runIf(hasRedis)(
  'a Redis that hangs holds nobody up, and counts again when it goes on',
  async () => {
    const port = await freePort()
    const redis = await startRedis(port)
    const REDIS_URL = `redis://127.0.0.1:${port}`
    const app = await startApp({ kind: 'embedded', env: { ...env, REDIS_URL, TRUST_PROXY: '1' } })
    onTestFinished(async () => {
      redis.hang(false)
      await app.close()
      await redis.stop()
    })
    const from = (address: string) =>
      post(app.url, message('tools/list'), { 'x-forwarded-for': address })
    const isShared = ({ headers }: Answered) => headers.has('ratelimit')
    expect(isShared(await from('198.51.100.4'))).toBe(true)

    redis.hang(true)
    const first = await Promise.all(Array.from({ length: 20 }, (_, i) => from(`203.0.113.${i}`)))
    expect(first.map(statusOf)).toEqual(Array(20).fill(200))
    // Each of these would wait as long as those did together.
    const startedAt = performance.now()
    const answers = await times(40, () => from('198.51.100.5'))
    expect(performance.now() - startedAt).toBeLessThan(40 * 500)
    expect(answers.map(statusOf)).toEqual([...Array(LIMIT).fill(200), ...Array(34).fill(429)])
    expect(answers.some(isShared)).toBe(false)

    redis.hang(false)
    const counted = async () =>
      expect(isShared(await from(`192.0.2.${++address % 250}`))).toBe(true)
    let address = 0
    await vi.waitFor(counted, { ...PATIENCE, interval: 100 })
  },
)

async function startRedis(port: number) {
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
  ]
  const child: ChildProcess = spawn('redis-server', options, {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exit = once(child, 'close')
  for await (const chunk of child.stdout ?? []) {
    if (String(chunk).includes('Ready to accept connections')) break
  }
  return {
    hang: (isHanging: boolean) => child.kill(isHanging ? 'SIGSTOP' : 'SIGCONT'),
    async stop() {
      child.kill('SIGTERM')
      await exit
    },
  }
}
