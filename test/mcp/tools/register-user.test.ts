import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from '../../support/claude-stand-in/faults.ts'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp, type TestClient } from '../../support/start-app.ts'

let serial = 0
/** A registration that nobody made before. */
function newcomer(more: Record<string, unknown> = {}) {
  serial += 1
  return {
    username: `newcomer-${serial}`,
    email: `newcomer-${serial}@example.com`,
    anthropic_api_key: `sk-ant-api03-newcomer-${serial}`,
    ...more,
  }
}

const onModels = (status: number, retryAfter?: number): Fault => ({
  on: 'models',
  kind: 'status',
  status,
  ...(retryAfter === undefined ? {} : { retryAfter }),
})

describeDatabases('register_user', (kind) => {
  let app: TestApp
  let client: TestClient
  beforeAll(async () => {
    app = await startApp({ kind })
    client = await app.connect('legacy')
  })
  beforeEach(() => {
    app.claude.reset()
    app.claude.setValidKeys(undefined)
  })
  afterAll(() => app.close())

  const codeOf = async (args: Record<string, unknown>) => {
    const { structured } = await client.call('register_user', args)
    return structured.success ? 'stored' : structured.error.code
  }
  const isKnown = async ({ username, email }: { username: string; email: string }) => {
    const { users } = app.app.repositories
    const { username: name, email: mail } = await users.findTaken(username, email)
    return name || mail
  }

  test('the key is proven with one free call, and is then the one that messages are sent with', async () => {
    const args = newcomer()
    const { structured } = await client.call('register_user', args)
    expect(app.claude.journal.map(({ method, path, key }) => ({ method, path, key }))).toEqual([
      { method: 'GET', path: '/v1/models?limit=1', key: args.anthropic_api_key },
    ])
    const { username, password } = structured.data
    const signedIn = await client.call('authenticate_user', { username, password })
    const { access_token } = signedIn.structured.data
    await client.call('send_message', { access_token, message: 'Hello.' })
    expect(app.claude.messageRequests()[0]?.key).toBe(args.anthropic_api_key)
  })

  test('blanks around the key and the address are not part of them', async () => {
    const args = newcomer()
    const padded = {
      ...args,
      email: ` ${args.email} `,
      anthropic_api_key: `  ${args.anthropic_api_key}\n`,
    }
    expect(await codeOf(padded)).toBe('stored')
    expect(app.claude.journal[0]?.key).toBe(args.anthropic_api_key)
    expect(await codeOf(newcomer({ email: args.email }))).toBe('email_taken')
  })

  test('the password is random, of 128 bits or more, and is in no log', async () => {
    const passwords = []
    for (let times = 0; times < 3; times++) {
      const { structured } = await client.call('register_user', newcomer())
      passwords.push(structured.data.password)
    }
    expect(new Set(passwords).size).toBe(3)
    for (const password of passwords) {
      // 24 of them are 128 bits from 41 on; crypto/random.test.ts holds how they are drawn.
      expect(password).toMatch(/^[a-zA-Z0-9]{24,}$/)
      expect(app.logLines.join('')).not.toContain(password)
    }
  })

  test('usernames and addresses are unique without case', async () => {
    const args = newcomer()
    expect(await codeOf(args)).toBe('stored')
    const upper = { username: args.username.toUpperCase(), email: args.email.toUpperCase() }
    expect(await codeOf(newcomer({ username: upper.username }))).toBe('username_taken')
    expect(await codeOf(newcomer({ email: upper.email }))).toBe('email_taken')
    expect(app.claude.journal, 'a taken name costs no call').toHaveLength(1)
  })

  test.each(['sk-ant-admin01-abc', '  sk-ant-admin01-abc'])(
    'an admin key is refused: %j',
    async (key) => {
      const args = newcomer({ anthropic_api_key: key })
      const { structured, text } = await client.call('register_user', args)
      expect(structured.error).toMatchObject({ code: 'invalid_api_key', retryable: false })
      expect(text).not.toContain('abc')
      expect(app.claude.journal).toEqual([])
      expect(await isKnown(args)).toBe(false)
    },
  )

  test.each([
    ['does not know', () => app.claude.setValidKeys(['sk-ant-api03-another'])],
    ['forbids everything', () => app.claude.script(onModels(403))],
  ])('a key that Anthropic %s is refused, and nothing is stored', async (_name, prepare) => {
    prepare()
    const args = newcomer()
    const { structured, text } = await client.call('register_user', args)
    expect(structured.error).toMatchObject({ code: 'invalid_api_key', retryable: false })
    expect(text).not.toContain(args.anthropic_api_key)
    expect(await isKnown(args)).toBe(false)
    app.claude.setValidKeys(undefined)
    expect(await codeOf(args)).toBe('stored')
  })

  test.each<[string, Fault[], string]>([
    [
      'cut off',
      [1, 2].map(() => ({ on: 'models', kind: 'drop_before_headers' })),
      'upstream_unavailable',
    ],
    ['broken', [onModels(500), onModels(500)], 'upstream_unavailable'],
    ['overloaded', [onModels(529), onModels(529)], 'upstream_unavailable'],
    ['limited', [onModels(429, 60)], 'rate_limited'],
  ])(
    'while Anthropic is %s nothing is stored, and a repeat may help',
    async (_name, faults, code) => {
      app.claude.script(...faults)
      const args = newcomer()
      const { structured } = await client.call('register_user', args)
      expect(structured.error).toMatchObject({ code, retryable: true })
      expect(await isKnown(args)).toBe(false)
      expect(await codeOf(args)).toBe('stored')
    },
  )

  test('of many registrations of one name at once one is stored', async () => {
    const { username } = newcomer()
    const attempts = ['', '', '', ''].map((_, index) =>
      newcomer({ username: index % 2 ? username : username.toUpperCase() }),
    )
    const answers = await Promise.all(attempts.map((args) => client.call('register_user', args)))
    const codes = answers.map(({ structured }) => structured.error?.code ?? 'stored')
    expect(codes.sort()).toEqual(['stored', 'username_taken', 'username_taken', 'username_taken'])

    const stored = answers.findIndex(({ isError }) => !isError)
    const { password } = answers[stored]?.structured.data ?? {}
    const signedIn = await client.call('authenticate_user', { username, password })
    const { access_token } = signedIn.structured.data
    await client.call('send_message', { access_token, message: 'Whose key?' })
    expect(app.claude.messageRequests()[0]?.key).toBe(attempts[stored]?.anthropic_api_key)
  })

  test('of many registrations of one address at once one is stored', async () => {
    const { email } = newcomer()
    const codes = await Promise.all([1, 2, 3].map(() => codeOf(newcomer({ email }))))
    expect(codes.sort()).toEqual(['email_taken', 'email_taken', 'stored'])
  })

  test('a bad key beside a good one, at once under one name, takes the name from nobody', async () => {
    const good = newcomer()
    const bad = newcomer({ username: good.username })
    app.claude.setValidKeys([good.anthropic_api_key])
    const [stored, refused] = await Promise.all([codeOf(good), codeOf(bad)])
    expect(stored).toBe('stored')
    expect(['invalid_api_key', 'username_taken']).toContain(refused)
  })
})

describe('settings', () => {
  let app: TestApp
  afterAll(() => app.close())

  test('VALIDATE_API_KEYS=false asks nobody, and still refuses an admin key', async () => {
    app = await startApp({ kind: 'embedded', env: { VALIDATE_API_KEYS: 'false' } })
    app.claude.setValidKeys([])
    const client = await app.connect('modern')
    const stored = await client.call('register_user', newcomer())
    expect(stored.isError).toBe(false)
    const admin = newcomer({ anthropic_api_key: 'sk-ant-admin01-abc' })
    const refused = await client.call('register_user', admin)
    expect(refused.structured.error.code).toBe('invalid_api_key')
    expect(app.claude.journal).toEqual([])
  })
})

test('REGISTRATION=closed lets nobody in, and asks nobody', async () => {
  const app = await startApp({ kind: 'embedded', env: { REGISTRATION: 'closed' } })
  try {
    const client = await app.connect('modern')
    const { structured } = await client.call('register_user', newcomer())
    expect(structured.error).toMatchObject({ code: 'registration_closed', retryable: false })
    expect(app.claude.journal).toEqual([])
  } finally {
    await app.close()
  }
})
