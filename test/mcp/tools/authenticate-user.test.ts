import { setTimeout as sleep } from 'node:timers/promises'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ARGON2_PARAMETERS } from '../../../src/crypto/passwords.ts'
import { describeDatabases } from '../../support/databases.ts'
import { PATIENCE } from '../../support/patience.ts'
import { startApp, type TestApp, type TestClient, type TestUser } from '../../support/start-app.ts'

const MAX_FAILURES = 3
const SESSION_SECONDS = 900
const A_PART_OF_A_HASH_MS = 10

describeDatabases('authenticate_user', (kind) => {
  let app: TestApp
  let client: TestClient
  let user: TestUser

  beforeAll(async () => {
    app = await startApp({
      kind,
      env: {
        SIGN_IN_FAILURES_PER_ACCOUNT: String(MAX_FAILURES),
        SESSION_TIMEOUT: String(SESSION_SECONDS),
        PUBLIC_URL: 'https://gateway.example',
      },
    })
    client = await app.connect('legacy')
    user = await app.register()
  })
  afterAll(() => app.close())

  const signIn = async (username: string, password: string) =>
    (await client.call('authenticate_user', { username, password })).structured
  const codeOf = async (username: string, password: string) =>
    (await signIn(username, password)).error?.code ?? 'signed in'

  test('the token is a signed JWT that names its key, its session, its user and its end', async () => {
    const { data } = await signIn(user.username, user.password)
    expect(decodeProtectedHeader(data.access_token)).toEqual({
      alg: 'EdDSA',
      kid: expect.stringMatching(/^[\w-]{43}$/),
      typ: 'at+jwt',
    })
    const claims = decodeJwt(data.access_token)
    expect(claims).toEqual({
      iss: 'https://gateway.example',
      aud: 'https://gateway.example/mcp',
      sub: user.userId,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      iat: expect.any(Number),
      exp: Date.parse(data.expires_at) / 1000,
    })
    const lifeSeconds = (claims.exp ?? 0) - (claims.iat ?? 0)
    // The end is set first, the moment of issue when it is signed.
    expect(lifeSeconds).toBeGreaterThan(SESSION_SECONDS - 10)
    expect(lifeSeconds).toBeLessThanOrEqual(SESSION_SECONDS)
    expect(data).toMatchObject({ token_type: 'Bearer', user_id: user.userId })
  })

  test('every sign-in is a session of its own', async () => {
    const tokens = [1, 2].map(() => signIn(user.username, user.password))
    const [first, second] = await Promise.all(tokens)
    expect(decodeJwt(first.data.access_token).jti).not.toBe(decodeJwt(second.data.access_token).jti)
  })

  test('the username counts in any case', async () => {
    expect(await codeOf(user.username.toUpperCase(), user.password)).toBe('signed in')
  })

  test('an unknown user and a wrong password get the same answer', async () => {
    const wrong = await client.call('authenticate_user', {
      username: user.username,
      password: 'not it',
    })
    const unknown = await client.call('authenticate_user', {
      username: 'nobody-here',
      password: user.password,
    })
    expect(wrong).toEqual(unknown)
    expect(wrong).toMatchObject({
      isError: true,
      structured: { success: false, error: { code: 'invalid_credentials', retryable: false } },
    })
    expect(wrong.text).not.toContain(user.username)
  })

  test('an email address in place of the username is told as that, whoever has it', async () => {
    const [own, nobodys] = await Promise.all(
      [`${user.username}@example.com`, 'nobody@nowhere.example'].map((username) =>
        client.call('authenticate_user', { username, password: user.password }),
      ),
    )
    expect(own).toEqual(nobodys)
    expect(own?.structured.error).toMatchObject({
      code: 'invalid_credentials',
      message: expect.stringContaining('with your username, which is not the email address'),
    })
  })

  test('a right password wipes the slate clean', async () => {
    const { username, password } = await app.register()
    for (let round = 0; round < 2; round++) {
      for (let failure = 1; failure < MAX_FAILURES; failure++) {
        expect(await codeOf(username, 'not it')).toBe('invalid_credentials')
      }
      expect(await codeOf(username, password)).toBe('signed in')
    }
  })

  test.each([
    ['a user', async () => app.register()],
    ['a name nobody has', async () => ({ username: `ghost-${kind}`, password: 'x' })],
  ])(
    'guesses at %s are counted also when they come at once, and then nothing is looked at',
    async (_name, make) => {
      const { username, password } = await make()
      const guesses = Array.from({ length: 12 }, (_, guess) => codeOf(username, `guess ${guess}`))
      const seen = (await Promise.all(guesses)).filter((code) => code === 'invalid_credentials')
      expect(seen.length).toBeLessThanOrEqual(MAX_FAILURES)

      for (let used = seen.length; used < MAX_FAILURES; used++) {
        expect(await codeOf(username, 'not it')).toBe('invalid_credentials')
      }
      const { error } = await signIn(username, password)
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true })
      expect(error.retry_after_seconds).toBeGreaterThan(0)
      expect(error.retry_after_seconds).toBeLessThanOrEqual(15 * 60)
    },
  )

  test('an account that is paused pauses nobody else', async () => {
    expect(await codeOf(user.username, user.password)).toBe('signed in')
  })

  test('passwords are in no log', () => {
    expect(app.logLines.join('')).not.toContain(user.password)
  })
})

/** Of the client below: another network's flood would not hold it up. */
const OWN_NETWORK = '127.0.0.0/24'

describe('overload', () => {
  test('more sign-ins than the queue holds are turned away, retryable', async () => {
    Object.assign(ARGON2_PARAMETERS, { memoryCost: 19_456, timeCost: 2 }) // as in production
    const app = await startApp({ kind: 'embedded' })
    let isOver = false
    let serial = 0
    const keepAsking = async () => {
      while (!isOver) {
        serial += 1
        await app.app.services.accounts
          .authenticate(`nobody-${serial}`, 'x', OWN_NETWORK)
          .catch(() => sleep(A_PART_OF_A_HASH_MS))
      }
    }
    try {
      const client = await app.connect('modern')
      const pressure = Array.from({ length: 100 }, keepAsking)
      const credentials = { username: 'somebody', password: 'x' }
      const error = await vi.waitUntil(
        async () => {
          const { structured } = await client.call('authenticate_user', credentials)
          return structured.error?.code === 'overloaded' && structured.error
        },
        { ...PATIENCE, interval: 1 },
      )
      isOver = true
      await Promise.all(pressure)
      expect(error).toMatchObject({ code: 'overloaded', retryable: true })
      expect(error.retry_after_seconds).toBeGreaterThanOrEqual(1)
      const later = await client.call('authenticate_user', { ...credentials, username: 'else' })
      expect(later.structured.error.code).toBe('invalid_credentials')
    } finally {
      isOver = true
      await app.close()
    }
  })
})
