/** The container files, as far as they can be tried without a container engine. */

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { loadConfig } from '../src/config/config.ts'
import { SETTINGS } from '../src/config/settings.ts'

const root = new URL('../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')

/** Handed on, so that the gateway refuses to start instead of opening what they had closed. */
const WITHDRAWN = ['MCP_ANONYMOUS']

describe('docker-compose.yml', () => {
  const text = read('docker-compose.yml')
  const compose = parse(text)
  const { gateway, postgres, caddy } = compose.services
  const folder = mkdtempSync(join(tmpdir(), 'gateway-secrets-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const secrets: Record<string, string> = {
    'database-password': 'p4ss#/?%@: ü',
    'encryption-key': 'q9Zr3vX1m5Kc7Tb0Lw2Ny4Hs6Gd8Fj1PaUeRiOtYxQ8=',
  }
  /** As the gateway sees its environment, with the files of secrets elsewhere. */
  function configWith(env: Record<string, string>, given = secrets) {
    for (const name of Object.keys(secrets)) rmSync(join(folder, name), { force: true })
    for (const [name, text] of Object.entries(given)) {
      // As `echo` and an editor leave it.
      writeFileSync(join(folder, name), `${text}\n`)
    }
    const values = Object.entries<string>(gateway.environment).map(([name, value]) => [
      name,
      interpolate(value, env).replace('/run/secrets', folder),
    ])
    return loadConfig(Object.fromEntries(values))
  }

  test('hands on every setting, save those that the container fixes', () => {
    const fixed = [
      'HOST',
      'PORT',
      'DATA_DIR',
      'EMBEDDED_DURABILITY',
      'TLS_CERT_FILE',
      'TLS_KEY_FILE',
    ]
    const given = Object.keys(gateway.environment)
      .filter((name) => !WITHDRAWN.includes(name))
      .map((name) => name.replace(/_FILE$/, ''))
    const names = Object.keys(SETTINGS).filter((name) => !fixed.includes(name))
    const files = ['PRICES', 'DATABASE_PASSWORD', 'ENCRYPTION_KEY']
    expect(given.map((name) => (name === 'PRICES' ? 'PRICES_FILE' : name)).sort()).toEqual(
      names.sort(),
    )
    const own = ['DATABASE_URL', 'DATABASE_PASSWORD', 'ENCRYPTION_KEY', ...files]
    for (const name of names.filter((name) => !own.includes(name)))
      expect(gateway.environment[name]).toContain(`\${`)
  })

  test('asks for nothing that .env.example does not explain', () => {
    const asked = new Set([...text.matchAll(/(?<!\$)\$\{([A-Z_]+)/g)].map(([, name]) => name))
    for (const name of WITHDRAWN) asked.delete(name)
    expect(asked.size).toBeGreaterThan(20)
    for (const name of asked) expect(read('.env.example')).toMatch(new RegExp(`^#? ?${name}=`, 'm'))
  })

  test('with the secrets alone the gateway accepts its settings', () => {
    const config = configWith({})
    expect(config.database.url).toBe(
      'postgres://gateway:p4ss%23%2F%3F%25%40%3A%20%C3%BC@postgres:5432/gateway',
    )
    expect(config.secrets.encryptionKey).toHaveLength(32)
    expect(config.http).toMatchObject({ publicUrl: 'http://localhost:3000', trustProxy: false })
  })

  test('secrets are files, of which each service has what it needs', () => {
    expect(JSON.stringify(compose.services)).not.toMatch(
      /PASSWORD(?!_FILE)|ENCRYPTION_KEY(?!_FILE|S_)/,
    )
    expect(gateway.secrets).toEqual(['database-password', 'encryption-key'])
    expect(postgres.secrets).toEqual(['database-password', 'postgres-password'])
    for (const name of new Set<string>([...gateway.secrets, ...postgres.secrets])) {
      expect(interpolate(compose.secrets[name].file, {})).toBe(`./secrets/${name}`)
    }
    // Compose refuses anything but files for a service whose file system is read-only.
    for (const { file } of Object.values<{ file?: string }>({
      ...compose.secrets,
      ...compose.configs,
    }))
      expect(file).toBeTruthy()
  })

  test('a setting of the environment reaches the gateway', () => {
    const env = { PUBLIC_URL: 'https://gateway.example', TRUST_PROXY: '1', MAX_TOKENS: '99' }
    const { http, chat } = configWith(env)
    expect(http).toMatchObject({ publicUrl: 'https://gateway.example', trustProxy: 1 })
    expect(chat.defaultMaxTokens).toBe(99)
  })

  test.each(Object.keys(secrets))('without %s it does not start, and says which file', (name) => {
    const { [name]: _gone, ...others } = secrets
    const path = join(folder, name)
    expect(() => configWith({}, others)).toThrow(`_FILE: ${path} does not exist.`)
    expect(() => configWith({}, { ...secrets, [name]: '' })).toThrow(`_FILE: ${path} is empty.`)
  })

  test('waits for the health of what it stands on, and lets running answers finish', () => {
    expect(gateway.depends_on.postgres.condition).toBe('service_healthy')
    expect(postgres.healthcheck.test).toContain('pg_isready')
    expect(caddy.depends_on.gateway.condition).toBe('service_healthy')
    const graceSeconds = Number.parseInt(gateway.stop_grace_period, 10)
    const { drainSeconds, shutdownGraceSeconds } = configWith({}).http
    expect(graceSeconds).toBeGreaterThan(drainSeconds + shutdownGraceSeconds + 10)
  })

  test('is reachable from this machine only, and may do as little as possible', () => {
    expect(gateway.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:/)])
    expect(postgres.ports).toBeUndefined()
    expect(gateway.read_only).toBe(true)
    for (const service of [gateway, postgres, caddy]) {
      expect(service.cap_drop).toEqual(['ALL'])
      expect(service.security_opt).toEqual(['no-new-privileges:true'])
      expect(service.mem_limit).toMatch(/^\d+[mg]$/)
      expect(service.pids_limit).toBeGreaterThan(0)
    }
  })

  test('Caddy serves the public URL with the gateway behind it, in its profile only', () => {
    expect(caddy.profiles).toEqual(['tls'])
    expect(caddy.environment).toHaveProperty('PUBLIC_URL')
    const caddyfile = read(compose.configs.caddyfile.file)
    expect(caddyfile).toContain('{$PUBLIC_URL} {')
    expect(caddyfile).toContain('reverse_proxy gateway:3000')
  })
})

describe('Dockerfile', () => {
  const text = read('Dockerfile').replace(/\\\n\s*/g, '')
  const instructions = (name: string) =>
    [...text.matchAll(new RegExp(`^${name} (.+)$`, 'gm'))].map(([, rest = '']) => rest)

  test('copies what there is, and .dockerignore lets it through', () => {
    const sources = instructions('COPY')
      .filter((rest) => !rest.startsWith('--from='))
      .flatMap((rest) => rest.split(' ').slice(0, -1))
    expect(sources).toContain('src')
    const ignore = read('.dockerignore').split('\n')
    expect(ignore).toContain('*')
    for (const source of sources) {
      expect(existsSync(new URL(source, root)), source).toBe(true)
      expect(ignore).toContain(`!${source}`)
    }
  })

  test('its last stage runs as a user without rights, on settings that exist', () => {
    expect(instructions('USER')).toEqual(['node'])
    const [env = ''] = instructions('ENV')
    const names = env.split(' ').map((pair) => pair.split('=')[0])
    expect(names.filter((name) => name !== 'NODE_ENV')).toEqual(['HOST', 'DATA_DIR'])
    for (const name of ['HOST', 'DATA_DIR']) expect(SETTINGS).toHaveProperty(name)
    expect(instructions('EXPOSE')).toEqual([String(loadConfig({}).http.port)])
    expect(instructions('CMD')).toEqual(['["node", "--max-semi-space-size=16", "dist/main.js"]'])
  })

  test.each([
    [200, 0],
    [503, 1],
  ])('its health check takes %i from /livez as exit code %i', async (status, code) => {
    const [, command = '[]'] = /CMD (\[.+\])/.exec(instructions('HEALTHCHECK')[0] ?? '') ?? []
    const [program, ...args] = JSON.parse(command) as [string, ...string[]]
    expect(program).toBe('node')
    const paths: unknown[] = []
    const server = createServer((req, res) => {
      paths.push(req.url)
      res.writeHead(status).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const env = { PORT: String((server.address() as AddressInfo).port) }
    const run = promisify(execFile)(process.execPath, args, { env })
    const exitCode = await run.then(() => 0).catch((error: { code: number }) => error.code)
    server.close()
    expect(paths).toEqual(['/livez'])
    expect(exitCode).toBe(code)
  })
})

/** Compose's own substitution, as far as these files use it; innermost first. */
function interpolate(text: string, env: Record<string, string>): string {
  const innermost = /(?<!\$)\$\{([A-Z_]+)(?::([-?])([^${}]*))?\}/
  let result = text
  for (let match = innermost.exec(result); match; match = innermost.exec(result)) {
    const [whole, name = '', operator, word = ''] = match
    const value = env[name] ?? ''
    if (value === '' && operator === '?') throw new Error(`${name} ${word}`)
    result = result.replace(whole, () => (value === '' && operator === '-' ? word : value))
  }
  return result.replaceAll('$$', '$')
}
