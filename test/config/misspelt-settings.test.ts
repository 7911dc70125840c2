import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { SETTINGS } from '../../src/config/settings.ts'

test.each([
  ['REGISTRATON', 'REGISTRATION'],
  ['REGISTRATION_', 'REGISTRATION'],
  ['DATABSE_URL', 'DATABASE_URL'],
  ['DATABASE_URI', 'DATABASE_URL'],
  ['DATADIR', 'DATA_DIR'],
  ['Data_Dir', 'DATA_DIR'],
  ['ENCRYPTION-KEY', 'ENCRYPTION_KEY'],
  ['ENCRYTPION_KEY_FLIE', 'ENCRYPTION_KEY_FILE'],
  ['BUDGET_USD_PER_MOHTN', 'BUDGET_USD_PER_MONTH'],
])('%s is named, with %s, and not its value', (name, meant) => {
  const load = () => loadConfig({ [name]: 'hunter2' })
  expect(load).toThrow(`  ${name}: is no setting. Write ${meant}, or remove it`)
  expect(load).not.toThrow(/hunter2/)
})

test('blank counts as not set', () => {
  expect(() => loadConfig({ REGISTRATON: ' ' })).not.toThrow()
})

test("names of a shell, of Node.js, npm and other people's programs are left alone", () => {
  const others = [
    ...['PATH', 'HOME', 'HOSTNAME', 'PORTS', 'USER', 'TERM', 'LOGNAME', 'DATE', 'LANG'],
    ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_OPTIONS', 'NODE_ENV', 'UV_THREADPOOL_SIZE'],
    ...['http_proxy', 'https_proxy', 'no_proxy', 'FTP_PROXY', 'ALL_PROXY', 'npm_config_loglevel'],
    ...['PGDATABASE', 'PGPASSWORD', 'POSTGRES_PASSWORD', 'POSTGRES_PASSWORD_FILE', 'SECRETS_DIR'],
    ...['REDIS_PORT', 'REDIS_SERVICE_HOST', 'DATABASE_PORT', 'COMPOSE_PROFILES', 'ANTHROPIC_MODEL'],
    ...[
      'ANTHROPIC_API_KEY',
      'ANTHROPIC_AUTH_TOKEN',
      'MAX_THINKING_TOKENS',
      'CLAUDE_CODE_ENTRYPOINT',
    ],
  ]
  const env = Object.fromEntries(others.map((name) => [name, 'set']))
  expect(() => loadConfig(env)).not.toThrow()
})

test('no setting is taken for another', () => {
  const problems = Object.keys(SETTINGS).filter((name) => {
    try {
      loadConfig({ [name]: 'x' })
      return false
    } catch (error) {
      return /is no setting/.test((error as Error).message)
    }
  })
  expect(problems).toEqual([])
})
