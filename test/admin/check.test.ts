/** `npm run admin -- check`: what the settings lead to, and which of them is wrong. */

import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { check } from '../../src/admin/check.ts'
import { loadConfig } from '../../src/config/config.ts'
import { type ClaudeStandIn, startClaudeStandIn } from '../support/claude-stand-in/server.ts'
import { startConnectProxy } from '../support/connect-proxy.ts'
import { describeDatabases, firstStart, freshDatabaseOptions } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { PATIENCE } from '../support/patience.ts'
import { hasRedis } from '../support/redis.ts'

const PROCESS_TIMEOUT_MS = 180_000
const ADMIN = fileURLToPath(new URL('../../dist/admin.js', import.meta.url))

let claude: ClaudeStandIn
beforeAll(async () => {
  claude = await startClaudeStandIn()
})
afterAll(() => claude.close())

/** By setting: the state and the words. */
async function findings(settings: Record<string, string>) {
  const lines: string[] = []
  const isWell = await check(loadConfig(settings), (line) => lines.push(line))
  const found = lines.map((line) => {
    const [, state = '', setting = '', words = ''] = /^(\w+) +(\w+) +(.*)$/.exec(line) ?? []
    return [setting, { state, words }] as const
  })
  return { isWell, of: Object.fromEntries(found) }
}

describeDatabases('beside a gateway that runs', (kind) => {
  let gateway: GatewayProcess
  let settings: Record<string, string>
  let drop: () => Promise<void>
  beforeAll(async () => {
    const fresh = await freshDatabaseOptions(kind)
    drop = fresh.drop
    const PORT = String(await freePort())
    settings = {
      PORT,
      DATA_DIR: fresh.dataDir,
      ...(fresh.url ? { DATABASE_URL: fresh.url } : {}),
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
      ANTHROPIC_BASE_URL: claude.url,
    }
    gateway = await startGatewayProcess(settings)
  }, PROCESS_TIMEOUT_MS)
  afterAll(async () => {
    await gateway.stop()
    await drop()
  })

  test('all is well, and the exit code is 0', { timeout: PROCESS_TIMEOUT_MS }, async () => {
    const { PATH, HOME } = process.env
    const { code, words } = await new Promise<{ code: unknown; words: string }>((resolve) => {
      const options = { env: { PATH, HOME, ...settings } }
      execFile(process.execPath, [ADMIN, 'check'], options, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, words: stdout + stderr }),
      )
    })
    const database =
      kind === 'embedded'
        ? `DATA_DIR +The data folder .* is used by process ${gateway.process.pid}\\.`
        : 'DATABASE_URL +PostgreSQL answers in [\\d.]+ ms'
    expect(words.trim().split('\n')).toEqual([
      expect.stringMatching(`^ok +${database}$`),
      expect.stringMatching(/^ok +ANTHROPIC_BASE_URL +http.* answers as Anthropic does$/),
      expect.stringMatching(/^ok +PUBLIC_URL +http:\/\/127\.0\.0\.1:\d+ is this gateway/),
    ])
    expect(code).toBe(0)
  })

  test('another PUBLIC_URL than the gateway has is told with both', async () => {
    const other = createServer((_req, res) =>
      res.end('{"resource": "https://gateway.example/mcp"}'),
    )
    const PUBLIC_URL = await listening(other)
    const mistaken = await findings({ ...settings, PUBLIC_URL })
    expect(mistaken.isWell).toBe(false)
    expect(mistaken.of.PUBLIC_URL).toEqual({
      state: 'wrong',
      words: expect.stringMatching(
        `${PUBLIC_URL} answers with the resource https://gateway\\.example/mcp, .*Set PUBLIC_URL`,
      ),
    })
  })
})

/** @returns its URL; closed with the test. */
async function listening(server: ReturnType<typeof createServer>): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function emptyFolder(): Promise<string> {
  const { dataDir } = await firstStart()
  onTestFinished(() => rm(dataDir, { recursive: true }))
  return dataDir
}

test('before the first start the folder may be empty and the gateway away', async () => {
  const DATA_DIR = await emptyFolder()
  const PORT = String(await freePort())
  const { isWell, of } = await findings({ DATA_DIR, PORT, ANTHROPIC_BASE_URL: claude.url })
  expect(isWell).toBe(true)
  expect(of.DATA_DIR).toEqual({ state: 'ok', words: expect.stringContaining('is empty') })
  expect(of.PUBLIC_URL).toEqual({
    state: 'unknown',
    words: `Nothing listens at http://127.0.0.1:${PORT}: start the gateway, then check again.`,
  })
})

test('each that is wrong is named, with what to do, and its secrets are not', async () => {
  const nowhere = `127.0.0.1:${await freePort()}`
  const { isWell, of } = await findings({
    DATABASE_URL: `postgres://ada:hunter2@${nowhere}/gateway`,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    REDIS_URL: `redis://:hunter2@${nowhere}`,
    HTTP_PROXY: `http://ada:hunter2@${nowhere}`,
    ANTHROPIC_BASE_URL: 'http://claude.example',
    PRICES_FILE: '/no/such/prices.json',
    PUBLIC_URL: 'https://gateway.invalid',
  })
  expect(isWell).toBe(false)
  expect(of).toEqual({
    PRICES_FILE: { state: 'wrong', words: expect.stringContaining('does not exist') },
    DATABASE_URL: {
      state: 'wrong',
      words: expect.stringMatching(/Nothing listens .*ECONNREFUSED/),
    },
    REDIS_URL: { state: 'wrong', words: expect.stringContaining(nowhere) },
    HTTP_PROXY: {
      state: 'wrong',
      words: expect.stringMatching(/cannot be reached \(ECONNREFUSED\)/),
    },
    ANTHROPIC_BASE_URL: { state: 'wrong', words: expect.stringContaining('through HTTP_PROXY') },
    PUBLIC_URL: {
      state: 'wrong',
      words: expect.stringMatching(/gateway\.invalid cannot be reached/),
    },
  })
  expect(JSON.stringify(of)).not.toContain('hunter2')
})

test('the way to Anthropic is tried as messages take it', async () => {
  const { port } = new URL(claude.url)
  const proxy = await startConnectProxy((_to, credentials) =>
    credentials === 'ada:right' ? { port: Number(port) } : { status: 407 },
  )
  onTestFinished(() => proxy.close())
  const DATA_DIR = await emptyFolder()
  const { host } = new URL(proxy.url)
  const through = (credentials: string) =>
    findings({
      DATA_DIR,
      ANTHROPIC_BASE_URL: 'http://claude.example',
      HTTP_PROXY: `http://${credentials}@${host}`,
    })
  expect((await through('ada:right')).of.ANTHROPIC_BASE_URL?.state).toBe('ok')
  const refused = (await through('ada:wrong')).of
  expect(refused.HTTP_PROXY?.state).toBe('ok')
  expect(refused.ANTHROPIC_BASE_URL).toEqual({
    state: 'wrong',
    words: expect.stringMatching(/wants to know who asks.*407/),
  })
})

test('somebody else at the addresses is told from the gateway', async () => {
  const DATA_DIR = await emptyFolder()
  const page = createServer((_req, res) => res.end('<h1>Welcome to nginx!</h1>'))
  const elsewhere = createServer((_req, res) =>
    res.writeHead(301, { location: 'https://www.gateway.example/mcp' }).end(),
  )
  const [ANTHROPIC_BASE_URL, PUBLIC_URL] = [await listening(page), await listening(elsewhere)]
  const { of } = await findings({ DATA_DIR, ANTHROPIC_BASE_URL, PUBLIC_URL })
  expect(of.ANTHROPIC_BASE_URL).toEqual({
    state: 'wrong',
    words: expect.stringMatching(/is not Claude/),
  })
  expect(of.PUBLIC_URL?.words).toContain('leads on to https://www.gateway.example.')
  const nginx = await findings({ DATA_DIR, ANTHROPIC_BASE_URL, PUBLIC_URL: ANTHROPIC_BASE_URL })
  expect(nginx.of.PUBLIC_URL?.words).toMatch(/Something else answers .*hand on every path/)
})

test('settings that are wrong themselves are named, and nothing is opened', async () => {
  const { PATH, HOME } = process.env
  const env = { PATH, HOME, PORT: 'none', REGISTRATON: 'closed' }
  const child = spawn(process.execPath, [ADMIN, 'check'], { env })
  let words = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      words += chunk
    })
  }
  const [code] = await once(child, 'close')
  expect(words).toMatch(/wrong or missing:\n {2}PORT: .*\n {2}REGISTRATON: is no setting/)
  expect(words).not.toMatch(/^ok/m)
  expect(code).toBe(2)
})

test.runIf(hasRedis)('Redis answers to its password', async () => {
  const port = await freePort()
  const options = ['--port', String(port), '--save', '', '--requirepass', 'right']
  const redis = spawn('redis-server', options, { stdio: 'ignore' })
  onTestFinished(() => void redis.kill('SIGKILL'))
  const DATA_DIR = await emptyFolder()
  const redisFound = async (password: string) => {
    const REDIS_URL = `redis://:${password}@127.0.0.1:${port}`
    return (await findings({ DATA_DIR, ANTHROPIC_BASE_URL: claude.url, REDIS_URL })).of.REDIS_URL
  }
  await expect.poll(async () => (await redisFound('right'))?.state, PATIENCE).toBe('ok')
  expect(await redisFound('hunter2')).toEqual({
    state: 'wrong',
    words: expect.stringMatching(/WRONGPASS.*Correct host, port, user and password/),
  })
})
