/** Secrets in files instead of the environment. */

import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { SECRET_SETTINGS, SETTINGS } from '../../src/config/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'gateway-secrets-'))
afterAll(() => rmSync(folder, { recursive: true }))

function fileOf(text: string): string {
  const path = join(folder, randomBytes(6).toString('hex'))
  writeFileSync(path, text)
  return path
}

function complaintOf(env: Record<string, string>): string {
  try {
    loadConfig(env)
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('the settings were accepted')
}

const KEY = randomBytes(32).toString('base64')
const URL_WITHOUT = 'postgres://gateway@db.example:5432/gateway'
const VALUES: Record<(typeof SECRET_SETTINGS)[number], string> = {
  DATABASE_URL: 'postgres://gateway:hush@db.example:5432/gateway',
  DATABASE_PASSWORD: 'hush',
  ENCRYPTION_KEY: KEY,
  ENCRYPTION_KEYS_PREVIOUS: `${KEY},${randomBytes(32).toString('hex')}`,
  HTTPS_PROXY: 'http://gateway:hush@proxy.example:3128',
  HTTP_PROXY: 'http://gateway:hush@proxy.example:3128',
  REDIS_URL: 'redis://:hush@redis.example:6379',
  METRICS_TOKEN: 'a-token-of-metrics',
}
const WITH: Record<string, Record<string, string>> = {
  DATABASE_URL: { ENCRYPTION_KEY: KEY },
  DATABASE_PASSWORD: { DATABASE_URL: URL_WITHOUT, ENCRYPTION_KEY: KEY },
}

test('every setting that is a secret by its name or its kind is one of them', () => {
  const secret = /KEY|PASSWORD|SECRET|TOKEN$|^DATABASE_URL$|^REDIS_URL$|^HTTPS?_PROXY$/
  const notSecret = ['TLS_KEY_FILE', 'VALIDATE_API_KEYS']
  const expected = Object.keys(SETTINGS).filter((name) => secret.test(name))
  expect([...SECRET_SETTINGS, ...notSecret].sort()).toEqual(expected.sort())
})

describe.each(SECRET_SETTINGS)('%s_FILE', (name) => {
  const value = VALUES[name]
  const others = WITH[name] ?? {}
  const expected = loadConfig({ ...others, [name]: value })

  test.each([
    ['as it is', value],
    ['with a line break at its end', `${value}\n`],
    ['with one of Windows', `${value}\r\n`],
    ['with a byte order mark', `\ufeff${value}`],
  ])('gives what the file holds, %s', (_how, text) => {
    expect(loadConfig({ ...others, [`${name}_FILE`]: ` ${fileOf(text)} ` })).toEqual(expected)
    expect(expected).not.toEqual(loadConfig(others))
  })

  test('blank is not set', () => {
    expect(loadConfig({ ...others, [name]: value, [`${name}_FILE`]: ' ' })).toEqual(expected)
  })

  test('beside the setting itself is refused, naming both and no value', () => {
    const path = fileOf('other-than-that')
    const complaint = complaintOf({ ...others, [name]: value, [`${name}_FILE`]: path })
    expect(complaint).toContain(`  ${name}_FILE: and ${name} are both set. Keep one of them.`)
    expect(complaint).not.toMatch(/hush|other-than-that/)
  })

  test.each([
    ['is not there', () => join(folder, 'gone'), 'does not exist'],
    ['is a folder', () => folder, 'is a folder'],
    ['is empty', () => fileOf('\n'), 'is empty'],
  ])('of a file that %s is refused in one line, with its path', (_what, path, says) => {
    const file = path()
    const complaint = complaintOf({ ...others, [`${name}_FILE`]: file })
    expect(complaint.split('\n').slice(1)).toEqual([
      expect.stringContaining(`  ${name}_FILE: ${file} ${says}`),
    ])
  })
})

test('what is wrong in a file is named like any other setting, without its text', () => {
  const complaint = complaintOf({ ENCRYPTION_KEY_FILE: fileOf('hunter2-hunter2') })
  expect(complaint).toMatch(/ENCRYPTION_KEY: .*openssl rand -base64 32/)
  expect(complaint).not.toContain('hunter2')
})

describe('DATABASE_PASSWORD', () => {
  const urlWith = (password: string) =>
    loadConfig({
      DATABASE_URL: URL_WITHOUT,
      DATABASE_PASSWORD_FILE: fileOf(password),
      ENCRYPTION_KEY: KEY,
    }).database.url ?? ''

  test.each(['plain', 'p#/?@:%&=+ ü', '%2F', "$&$'", ' blanks '])('may be %j', (password) => {
    expect(decodeURIComponent(new URL(urlWith(password)).password)).toBe(password)
    expect(new URL(urlWith(password)).host).toBe('db.example:5432')
  })

  test.each([
    'postgres://db.example/gateway',
    'postgres://gateway:hush@db.example/gateway',
    'postgres://db.example/gateway?application_name=a@b',
    undefined,
  ])('has no place in %s', (url) => {
    const complaint = complaintOf({
      ENCRYPTION_KEY: KEY,
      DATABASE_PASSWORD: 'hush',
      ...(url ? { DATABASE_URL: url } : {}),
    })
    expect(complaint).toContain('  DATABASE_PASSWORD: needs a DATABASE_URL with a user and without')
    expect(complaint).not.toContain('hush')
  })
})
