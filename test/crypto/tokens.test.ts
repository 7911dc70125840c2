import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from 'node:crypto'
import { inspect } from 'node:util'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { expect, onTestFinished, test, vi } from 'vitest'
import { AccessTokens, generateSigningKey, type SigningKey } from '../../src/crypto/tokens.ts'
import { AppError } from '../../src/errors.ts'

const issuer = 'https://gateway.example'
const audience = 'https://gateway.example/mcp'
const key = await generateSigningKey()
const tokens = new AccessTokens({ issuer, audience, keys: [key] })

const nowSeconds = Math.floor(Date.now() / 1000)
const HEADER = { alg: 'EdDSA', kid: key.kid, typ: 'at+jwt' }
const CLAIMS = {
  iss: issuer,
  aud: audience,
  sub: 'user-1',
  jti: 'session-1',
  iat: nowSeconds,
  exp: nowSeconds + 600,
}

type Json = Record<string, unknown>
type Signer = (input: string) => Buffer

const encode = (value: Json) => Buffer.from(JSON.stringify(value)).toString('base64url')
const signedBy =
  (by: SigningKey): Signer =>
  (input) =>
    sign(null, Buffer.from(input), createPrivateKey({ key: by.privateJwk, format: 'jwk' }))

/** A token made by hand: what jose would refuse to sign can be tried too. */
function forge(header: Json, claims: Json, signer: Signer = signedBy(key)): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${signer(input).toString('base64url')}`
}

async function refusalOf(token: string, by = tokens): Promise<AppError> {
  const outcome = await by.verify(token).catch((thrown: unknown) => thrown)
  if (!(outcome instanceof AppError)) throw new Error(`not refused: ${inspect(outcome)}`)
  return outcome
}

const fresh = { userId: 'user-1', sessionId: 'session-1', expiresAt: new Date(CLAIMS.exp * 1000) }

test('verifies what it signed', async () => {
  const token = await tokens.sign(fresh)
  await expect(tokens.verify(token)).resolves.toEqual(fresh)
  expect(decodeProtectedHeader(token)).toEqual(HEADER)
  expect(decodeJwt(token)).toEqual({ ...CLAIMS, iat: expect.any(Number) })
})

test('carries a scope where there is one', async () => {
  const token = await tokens.sign({ ...fresh, scope: 'mcp' })
  await expect(tokens.verify(token)).resolves.toEqual({ ...fresh, scope: 'mcp' })
})

test('the forger of these tests can make a good token', async () => {
  await expect(tokens.verify(forge(HEADER, CLAIMS))).resolves.toEqual(fresh)
})

const { iss: _iss, ...withoutIss } = CLAIMS
const { aud: _aud, ...withoutAud } = CLAIMS
const { sub: _sub, ...withoutSub } = CLAIMS
const { jti: _jti, ...withoutJti } = CLAIMS
const { iat: _iat, ...withoutIat } = CLAIMS
const { exp: _exp, ...withoutExp } = CLAIMS
const stranger = await generateSigningKey()
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const hmac =
  (secret: string | Buffer): Signer =>
  (input) =>
    createHmac('sha256', secret).update(input).digest()
const publicKey = createPublicKey({ key: key.publicJwk, format: 'jwk' })
const hs256 = { ...HEADER, alg: 'HS256' }

test.each<[string, string]>([
  ['alg none', forge({ ...HEADER, alg: 'none' }, CLAIMS, () => Buffer.alloc(0))],
  ['alg None, with a real signature', forge({ ...HEADER, alg: 'None' }, CLAIMS)],
  ['no alg', forge({ kid: key.kid, typ: 'at+jwt' }, CLAIMS)],
  ['HS256 keyed with the public x', forge(hs256, CLAIMS, hmac(String(key.publicJwk.x)))],
  [
    'HS256 keyed with the raw public key',
    forge(hs256, CLAIMS, hmac(Buffer.from(String(key.publicJwk.x), 'base64url'))),
  ],
  [
    'HS256 keyed with the public PEM',
    forge(hs256, CLAIMS, hmac(publicKey.export({ type: 'spki', format: 'pem' }))),
  ],
  [
    'RS256 with a key in the header',
    forge(
      { ...HEADER, alg: 'RS256', jwk: rsa.publicKey.export({ format: 'jwk' }) },
      CLAIMS,
      (input) => sign('sha256', Buffer.from(input), rsa.privateKey),
    ),
  ],
  [
    'a stranger’s key in the header',
    forge({ ...HEADER, jwk: stranger.publicJwk }, CLAIMS, signedBy(stranger)),
  ],
  ['a stranger’s signature under our kid', forge(HEADER, CLAIMS, signedBy(stranger))],
  ['unknown kid', forge({ ...HEADER, kid: stranger.kid }, CLAIMS, signedBy(stranger))],
  ['unknown kid with our signature', forge({ ...HEADER, kid: 'other' }, CLAIMS)],
  ['no kid', forge({ alg: 'EdDSA', typ: 'at+jwt' }, CLAIMS)],
  ['kid __proto__', forge({ ...HEADER, kid: '__proto__' }, CLAIMS)],
  ['typ JWT', forge({ ...HEADER, typ: 'JWT' }, CLAIMS)],
  ['no typ', forge({ alg: 'EdDSA', kid: key.kid }, CLAIMS)],
  ['an unknown critical header', forge({ ...HEADER, crit: ['x'], x: 1 }, CLAIMS)],
  ['wrong iss', forge(HEADER, { ...CLAIMS, iss: 'https://evil.example' })],
  ['iss with a slash too many', forge(HEADER, { ...CLAIMS, iss: `${issuer}/` })],
  ['no iss', forge(HEADER, withoutIss)],
  ['wrong aud', forge(HEADER, { ...CLAIMS, aud: 'https://other.example/mcp' })],
  ['wrong auds', forge(HEADER, { ...CLAIMS, aud: ['https://other.example/mcp', issuer] })],
  ['no aud', forge(HEADER, withoutAud)],
  ['no sub', forge(HEADER, withoutSub)],
  ['sub that is no text', forge(HEADER, { ...CLAIMS, sub: 1 })],
  ['no jti', forge(HEADER, withoutJti)],
  ['jti that is no text', forge(HEADER, { ...CLAIMS, jti: ['session-1'] })],
  ['no iat', forge(HEADER, withoutIat)],
  ['no exp', forge(HEADER, withoutExp)],
  ['exp that is text', forge(HEADER, { ...CLAIMS, exp: String(CLAIMS.exp) })],
  ['not valid before tomorrow', forge(HEADER, { ...CLAIMS, nbf: nowSeconds + 86_400 })],
  ['claims changed after signing', withOtherClaims({ ...CLAIMS, sub: 'admin' })],
  ['no signature', forge(HEADER, CLAIMS, () => Buffer.alloc(0))],
  ['nothing', ''],
  ['no JWT', 'sk-ant-api03-not-a-token'],
  ['two dots', '..'],
  ['a very long one', forge(HEADER, { ...CLAIMS, padding: 'x'.repeat(5_000) })],
])('refuses %s', async (_name, token) => {
  const refusal = await refusalOf(token)
  expect(refusal.code).toBe('unauthenticated')
  expect(refusal.message).toMatch(/^The access token is not valid/)
  expectNoTrace(refusal, token)
})

test('an expired token is called expired, and only by who could sign it', async () => {
  const past = { ...CLAIMS, iat: nowSeconds - 700, exp: nowSeconds - 100 }
  const token = forge(HEADER, past)
  const refusal = await refusalOf(token)
  expect(refusal.code).toBe('unauthenticated')
  expect(refusal.message).toMatch(/^The access token has expired/)
  expectNoTrace(refusal, token)

  const forged = await refusalOf(forge(HEADER, past, signedBy(stranger)))
  expect(forged.message).toMatch(/^The access token is not valid/)
})

test('a token that was good a moment ago is refused once it has expired', async () => {
  const token = await tokens.sign(fresh)
  await expect(tokens.verify(token)).resolves.toEqual(fresh)
  await expect(tokens.verify(token)).resolves.toEqual(fresh)
  const later = fresh.expiresAt.getTime() + 60_000
  vi.useFakeTimers({ now: later, toFake: ['Date'] })
  onTestFinished(() => void vi.useRealTimers())
  expect((await refusalOf(token)).message).toMatch(/^The access token has expired/)
})

test('rotation: the first key signs, all verify, and a dropped one no longer does', async () => {
  const newer = await generateSigningKey()
  const oldToken = await tokens.sign(fresh)
  const both = new AccessTokens({ issuer, audience, keys: [newer, key] })
  const newToken = await both.sign(fresh)
  expect(decodeProtectedHeader(newToken).kid).toBe(newer.kid)
  await expect(both.verify(oldToken)).resolves.toEqual(fresh)
  await expect(both.verify(newToken)).resolves.toEqual(fresh)

  const onlyNewer = new AccessTokens({ issuer, audience, keys: [newer] })
  expect((await refusalOf(oldToken, onlyNewer)).code).toBe('unauthenticated')
})

test('rotation under way: replaced keys count from the next token on', async () => {
  const newer = await generateSigningKey()
  const running = new AccessTokens({ issuer, audience, keys: [key] })
  const oldToken = await running.sign(fresh)

  running.replaceKeys([key, newer])
  expect(decodeProtectedHeader(await running.sign(fresh)).kid, 'not yet').toBe(key.kid)
  running.replaceKeys([newer, key])
  const newToken = await running.sign(fresh)
  expect(decodeProtectedHeader(newToken).kid).toBe(newer.kid)
  expect(running.jwks().keys.map(({ kid }) => kid)).toEqual([newer.kid, key.kid])
  for (const token of [oldToken, newToken]) {
    await expect(running.verify(token)).resolves.toEqual(fresh)
  }

  running.replaceKeys([newer])
  expect((await refusalOf(oldToken, running)).code).toBe('unauthenticated')
  expect(() => running.replaceKeys([])).toThrow('at least one')
  await expect(running.verify(newToken), 'still').resolves.toEqual(fresh)
})

test('a key survives being stored as JSON', async () => {
  const stored: SigningKey = JSON.parse(JSON.stringify(key))
  const reloaded = new AccessTokens({ issuer, audience, keys: [stored] })
  await expect(reloaded.verify(await tokens.sign(fresh))).resolves.toEqual(fresh)
})

test('the key set is public, and enough for anyone else to verify with', async () => {
  const both = new AccessTokens({ issuer, audience, keys: [key, stranger] })
  const jwks = both.jwks()
  expect(jwks.keys.map((each) => each.kid)).toEqual([key.kid, stranger.kid])
  for (const jwk of jwks.keys) {
    expect(Object.keys(jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x'])
  }
  const verified = await jwtVerify(await both.sign(fresh), createLocalJWKSet(jwks), { issuer })
  expect(verified.payload.sub).toBe('user-1')
})

test('kids differ from key to key', () => {
  expect(key.kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(stranger.kid).not.toBe(key.kid)
})

test('no keys, or a key of another kind, is refused at once', () => {
  expect(() => new AccessTokens({ issuer, audience, keys: [] })).toThrow('at least one')
  const jwk = rsa.privateKey.export({ format: 'jwk' })
  const wrong = { kid: 'r', privateJwk: jwk, publicJwk: {} }
  expect(() => new AccessTokens({ issuer, audience, keys: [wrong] })).toThrow('not an Ed25519 key')
})

test('printing it shows no private key', () => {
  const printed = [
    inspect(tokens, { depth: null, showHidden: true }),
    inspect(tokens, { depth: null, customInspect: false }),
    JSON.stringify(tokens),
  ].join()
  expect(printed).toContain(key.kid)
  expect(printed).not.toContain(String(key.privateJwk.d))
})

function withOtherClaims(claims: Json): string {
  const [header, , signature] = forge(HEADER, CLAIMS).split('.')
  return [header, encode(claims), signature].join('.')
}

/** Neither the error nor what a logger would follow from it holds the token or its claims. */
function expectNoTrace(refusal: AppError, token: string): void {
  const printed = inspect(refusal, { depth: null, showHidden: true })
  for (const part of token.split('.').filter((each) => each.length > 8)) {
    expect(printed).not.toContain(part)
  }
  expect(printed).not.toContain('session-1')
}
