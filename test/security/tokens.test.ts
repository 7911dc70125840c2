/** Tokens that were never issued, or are no longer good, and headers that try to look like one. */

import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { json } from 'node:stream/consumers'
import { base64url, calculateJwkThumbprint, decodeJwt, importJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSigningKey } from '../../src/crypto/tokens.ts'
import { runSql } from '../support/database-supplies.ts'
import { hasPostgresql } from '../support/databases.ts'
import { eras, startApp, type TestApp, type TestUser } from '../support/start-app.ts'
import { bearer, post, resourceRead, toolCall } from './raw-mcp.ts'

const ENCRYPTION_KEY = randomBytes(32).toString('base64')
const METRICS = 'mcp://claude-api-gateway/metrics'

let app: TestApp
let user: TestUser
let forge: Forge

beforeAll(async () => {
  app = await startApp({ kind: 'embedded', env: { ENCRYPTION_KEY } })
  user = await app.register()
  forge = await startForge()
})
afterAll(() => app.close())

type Forge = Awaited<ReturnType<typeof startForge>>

/** Everything an attacker could have, and more: the real private key, to change one claim at a time. */
async function startForge() {
  const { signer: signingKey } = app.app.services.signingKeys.current
  const claims = decodeJwt(user.accessToken)
  const header = { alg: 'EdDSA', kid: signingKey.kid, typ: 'at+jwt' }
  const own = await importJWK({ ...signingKey.privateJwk }, 'EdDSA')
  return {
    claims,
    header,
    publicJwk: signingKey.publicJwk,
    sign: (changes: object, headerChanges: object = {}, key = own) =>
      new SignJWT({ ...claims, ...changes })
        .setProtectedHeader({ ...header, ...headerChanges })
        .sign(key),
  }
}

const part = (value: object) => base64url.encode(JSON.stringify(value))
const nowSeconds = () => Math.floor(Date.now() / 1000)

const FORGERIES: Record<string, () => Promise<string>> = {
  'alg none': async () => `${part({ ...forge.header, alg: 'none' })}.${part(forge.claims)}.`,
  'alg None, with the old signature': async () =>
    `${part({ ...forge.header, alg: 'None' })}.${part(forge.claims)}.${user.accessToken.split('.')[2]}`,
  'HS256 with the public key as its secret': async () => {
    const secret = createSecretKey(Buffer.from(forge.publicJwk.x as string, 'base64url'))
    return forge.sign({}, { alg: 'HS256' }, secret as never)
  },
  'HS256 with the public JWK as its secret': async () => {
    const secret = createSecretKey(Buffer.from(JSON.stringify(forge.publicJwk)))
    return forge.sign({}, { alg: 'HS256' }, secret as never)
  },
  "another gateway's key under this kid": async () => {
    const { privateJwk } = await generateSigningKey()
    return forge.sign({}, {}, await importJWK({ ...privateJwk }, 'EdDSA'))
  },
  "another gateway's key, brought along as jwk": async () => {
    const { privateJwk, publicJwk } = await generateSigningKey()
    const kid = await calculateJwkThumbprint({ ...publicJwk } as never)
    const key = await importJWK({ ...privateJwk }, 'EdDSA')
    return forge.sign({}, { kid, jwk: publicJwk, jku: 'http://127.0.0.1:1/jwks.json' }, key)
  },
  'no kid': () => forge.sign({}, { kid: undefined }),
  'a kid that is a path': () => forge.sign({}, { kid: '../../../../dev/null' }),
  'a kid from the prototype': () => forge.sign({}, { kid: '__proto__' }),
  'another issuer': () => forge.sign({ iss: 'https://evil.example' }),
  'another audience': () => forge.sign({ aud: 'https://evil.example/mcp' }),
  'an ordinary JWT type': () => forge.sign({}, { typ: 'JWT' }),
  'no expiry': () => forge.sign({ exp: undefined }),
  expired: () => forge.sign({ exp: nowSeconds() - 61, iat: nowSeconds() - 100 }),
  'an expiry that is text': () => forge.sign({ exp: 'never' }),
  'not yet valid': () => forge.sign({ nbf: nowSeconds() + 1000 }),
  'no session': () => forge.sign({ jti: undefined }),
  'a session that does not exist': () => forge.sign({ jti: randomUUID() }),
  'a session that is an object': () => forge.sign({ jti: { $ne: null } }),
  'a user who does not exist': () => forge.sign({ sub: randomUUID() }),
  "another user's session": async () => forge.sign({ sub: (await app.register()).userId }),
  'a changed payload': async () => {
    const [head, , signature] = user.accessToken.split('.')
    return `${head}.${part({ ...forge.claims, exp: nowSeconds() + 1e6 })}.${signature}`
  },
  'a cut signature': async () => user.accessToken.slice(0, -2),
  'only dots': async () => '..',
  'not a JWT': async () => 'undefined',
  'very long': async () => `${user.accessToken}${'A'.repeat(12_000)}`,
}

describe('a forged token opens nothing', () => {
  test('while an honestly made one does', async () => {
    const token = await forge.sign({})
    expect((await post(app.url, resourceRead('modern', METRICS), bearer(token))).status).toBe(200)
  })

  test.each(Object.keys(FORGERIES))('%s', async (name) => {
    const token = await (FORGERIES[name] as () => Promise<string>)()
    for (const era of eras) {
      const inHeader = await post(app.url, toolCall(era, 'get_conversations', {}), bearer(token))
      expect(inHeader.status).toBe(401)
      expect(inHeader.headers.get('www-authenticate')).toContain('error="invalid_token"')
      expect(inHeader.messages[0]?.error.data.code).toBe('unauthenticated')
      const read = await post(app.url, resourceRead(era, METRICS), bearer(token))
      expect(read.status).toBe(401)
      const asArgument = await post(
        app.url,
        toolCall(era, 'get_conversations', { access_token: token }),
      )
      expect(asArgument.status).toBe(200)
      expect(asArgument.messages.at(-1)?.result).toMatchObject({
        isError: true,
        structuredContent: { error: { code: 'unauthenticated' } },
      })
    }
  })
})

describe('a token that was good once', () => {
  const status = async (token: string) =>
    (await post(app.url, toolCall('modern', 'get_conversations', {}), bearer(token))).status

  test('is refused once rotated, and of two rotations at once one succeeds', async () => {
    const { accessToken } = await app.register()
    const rotate = () => post(app.url, toolCall('modern', 'rotate_token', {}), bearer(accessToken))
    const answers = await Promise.all([rotate(), rotate(), rotate()])
    const fresh = answers.flatMap(({ messages }) => {
      const token = messages.at(-1)?.result?.structuredContent?.data?.access_token
      return typeof token === 'string' ? [token] : []
    })
    expect(fresh).toHaveLength(1)
    expect(await status(accessToken)).toBe(401)
    expect(await status(fresh[0] as string)).toBe(200)
  })

  test('is refused once revoked', async () => {
    const { accessToken } = await app.register()
    expect(await status(accessToken)).toBe(200)
    await post(app.url, toolCall('legacy', 'revoke_token', {}), bearer(accessToken))
    expect(await status(accessToken)).toBe(401)
  })
})

describe('an access_token argument of another kind', () => {
  const odd: [string, unknown][] = [
    ['an object', { toString: 'x' }],
    ['an array', [['x']]],
    ['a number', 1],
    ['true', true],
    ['__proto__', JSON.parse('{"__proto__": {"userId": "x"}}')],
  ]
  test.each(odd)('%s is no token', async (_name, access_token) => {
    for (const era of eras) {
      const request = toolCall(era, 'get_conversations', { access_token })
      expect((await post(app.url, request)).status).toBe(401)
      const signedIn = await post(app.url, request, bearer(user.accessToken))
      expect(signedIn.messages.at(-1)?.result.structuredContent.error).toMatchObject({
        code: 'invalid_input',
        details: { fields: ['access_token'] },
      })
    }
  })

  test('null is none: it is left out, as any argument that may be', async () => {
    for (const era of eras) {
      const request = toolCall(era, 'get_conversations', { access_token: null })
      expect((await post(app.url, request)).status).toBe(401)
      const signedIn = await post(app.url, request, bearer(user.accessToken))
      expect(signedIn.messages.at(-1)?.result.structuredContent.success).toBe(true)
    }
  })

  test.each([
    ['a list', [1, 2]],
    ['a text', 'access_token'],
    ['null', null],
  ])('arguments that are %s reach no tool', async (_name, args) => {
    for (const era of eras) {
      const request = toolCall(era, 'get_conversations', args)
      const anonymous = await post(app.url, request)
      expect(anonymous.status).toBe(401)
      const { messages } = await post(app.url, request, bearer(user.accessToken))
      expect(messages.at(-1)?.result?.structuredContent?.success).not.toBe(true)
    }
  })
})

describe('the Authorization header', () => {
  /** With raw headers, which fetch would merge or refuse. */
  function rawPost(headers: string[]): Promise<{ status: number | undefined; body: unknown }> {
    const { body } = toolCall('legacy', 'get_conversations', {})
    const text = JSON.stringify(body)
    const { hostname, port, host } = new URL(app.url)
    const base = ['Host', host, 'Content-Type', 'application/json']
    const accept = [
      'Accept',
      'application/json, text/event-stream',
      'Content-Length',
      `${text.length}`,
    ]
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { hostname, port, path: '/mcp', method: 'POST', headers: [...base, ...accept, ...headers] },
        async (response) => resolve({ status: response.statusCode, body: await json(response) }),
      )
      request.on('error', reject)
      request.end(text)
    })
  }
  const authorization = (...values: string[]) => values.flatMap((value) => ['Authorization', value])

  test('may be written in any case, with more than one space', async () => {
    for (const scheme of ['Bearer ', 'bearer  ', 'BEARER ']) {
      const { status } = await rawPost(authorization(`${scheme}${user.accessToken}`))
      expect(status).toBe(200)
    }
  })

  const malformed: [string, (token: string) => string[]][] = [
    ['another scheme', (token) => [`Basic ${token}`]],
    ['no scheme', (token) => [token]],
    ['no token', () => ['Bearer']],
    ['two tokens in one', (token) => [`Bearer x ${token}`]],
    ['a list of tokens', (token) => [`Bearer x, Bearer ${token}`]],
    ['a quoted token', (token) => [`Bearer "${token}"`]],
    ['two headers, the bad one first', (token) => ['Bearer x', `Bearer ${token}`]],
    ['two headers, an empty one first', (token) => ['', `Bearer ${token}`]],
  ]
  test.each(malformed)('with %s is refused', async (_name, values) => {
    const { status, body } = await rawPost(authorization(...values(user.accessToken)))
    expect(status).toBe(401)
    expect(JSON.stringify(body)).not.toContain(user.accessToken)
  })

  test('counts under its own name only', async () => {
    for (const name of ['Proxy-Authorization', 'X-Authorization', 'X-Forwarded-Authorization']) {
      expect((await rawPost([name, `Bearer ${user.accessToken}`])).status).toBe(401)
    }
  })
})

test.each([
  ['null', null],
  ['an object', { a: 1 }],
  ['a list', [1]],
  ['a fraction', 1.5],
  ['a long text', 'i'.repeat(5000)],
  ['empty', ''],
])('a JSON-RPC id that is %s confuses nothing', async (_name, id) => {
  for (const era of eras) {
    const request = toolCall(era, 'get_conversations', {}, { id })
    const { status, messages } = await post(app.url, request, bearer(user.accessToken))
    const [answer, ...more] = messages
    expect(more).toEqual([])
    if (answer?.result === undefined) {
      expect(status).toBeGreaterThanOrEqual(200)
      expect(status).toBeLessThan(500)
      expect([null, undefined, id]).toContainEqual(answer?.id)
    } else {
      expect(answer.id).toEqual(id)
      expect(answer.result.structuredContent.success).toBe(true)
    }
  }
})

test('neither a token nor a key is in the log', () => {
  const log = app.logLines.join('')
  expect(log.length).toBeGreaterThan(1000)
  for (const secret of [user.accessToken, user.password, user.apiKey, ENCRYPTION_KEY]) {
    expect(log).not.toContain(secret)
  }
})

describe.runIf(hasPostgresql)('behind a live token', () => {
  let shared: TestApp
  beforeAll(async () => {
    shared = await startApp({ kind: 'postgresql' })
  })
  afterAll(() => shared.close())

  test.each([
    ['a deleted user', (id: string) => `delete from users where id = '${id}'`],
    ['a deleted session', (id: string) => `delete from sessions where user_id = '${id}'`],
    [
      'a session that ran out',
      (id: string) => `update sessions set expires_at = now() where user_id = '${id}'`,
    ],
    [
      'a session revoked elsewhere',
      (id: string) => `update sessions set revoked_at = now() where user_id = '${id}'`,
    ],
  ])('%s counts at once', async (_name, statement) => {
    const { accessToken, userId } = await shared.register()
    const list = () =>
      post(shared.url, toolCall('modern', 'get_conversations', {}), bearer(accessToken))
    expect((await list()).status).toBe(200)
    await runSql(shared.databaseUrl as string, statement(userId))
    expect((await list()).status).toBe(401)
  })
})
