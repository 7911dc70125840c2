/**
 * Access tokens: JWTs signed with Ed25519, of type `at+jwt` (RFC 9068, section 2.1).
 *
 * Checked here: signature, `kid`, `alg`, `typ`, `iss`, `aud`, `exp`, and that `sub`, `jti` and
 * `iat` are present. Not checked here: whether the session that `jti` names, or its user, still
 * exists. The caller has to check that in the database.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'
import { inspect, promisify } from 'node:util'
import { calculateJwkThumbprint, errors, jwtVerify, SignJWT } from 'jose'
import { AppError } from '../errors.ts'
import { RecentClaims } from './recent-claims.ts'

const ALGORITHM = 'EdDSA'
const TOKEN_TYPE = 'at+jwt'
/** For clock skew between replicas. The session itself ends on time, by the database's clock. */
const CLOCK_TOLERANCE_SECONDS = 60
/** Ours have about 500 characters; nothing longer is worth parsing. */
const MAX_TOKEN_LENGTH = 4_096

/** Holds a private key: seal it before it is stored, and never log it. */
export interface SigningKey {
  /** The JWK thumbprint (RFC 7638, SHA-256). */
  kid: string
  privateJwk: JsonWebKey
  publicJwk: JsonWebKey
}

/** One Ed25519 public key as a JWKS publishes it. */
export type PublicJwk = {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  kid: string
  alg: string
  use: string
}

export type AccessClaims = { userId: string; sessionId: string; expiresAt: Date; scope?: string }

type KeyPair = { kid: string; privateKey: KeyObject; publicKey: KeyObject }

export async function generateSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ed25519')
  return {
    kid: await calculateJwkThumbprint(publicKey),
    privateJwk: privateKey.export({ format: 'jwk' }),
    publicJwk: publicKey.export({ format: 'jwk' }),
  }
}

export class AccessTokens {
  readonly #issuer: string
  readonly #audience: string
  readonly #accepted: { issuer: string[]; audience: string[] }
  #signer: KeyPair
  #byKid: ReadonlyMap<string, KeyPair>
  /** Only tokens that the current keys verify: a change of keys starts a new cache. */
  #recent = new RecentClaims<AccessClaims>()

  /**
   * `keys`: the first signs, all verify. `also`: other names of the same issuer and audience.
   *
   * @throws Error without keys, or if one is not an Ed25519 key.
   */
  constructor(options: {
    issuer: string
    audience: string
    also?: { issuers: readonly string[]; audiences: readonly string[] }
    keys: readonly SigningKey[]
  }) {
    const { issuer, audience, also } = options
    this.#issuer = issuer
    this.#audience = audience
    this.#accepted = {
      issuer: [issuer, ...(also?.issuers ?? [])],
      audience: [audience, ...(also?.audiences ?? [])],
    }
    const { signer, byKid } = importKeys(options.keys)
    this.#signer = signer
    this.#byKid = byKid
  }

  /**
   * Replaces the keys: the first signs, and only these verify.
   *
   * @throws Error as the constructor does; nothing has changed then.
   */
  replaceKeys(keys: readonly SigningKey[]): void {
    const { signer, byKid } = importKeys(keys)
    this.#signer = signer
    this.#byKid = byKid
    this.#recent = new RecentClaims()
  }

  /** `expiresAt` is rounded down to whole seconds. */
  sign(claims: AccessClaims): Promise<string> {
    return new SignJWT(claims.scope === undefined ? {} : { scope: claims.scope })
      .setProtectedHeader({ alg: ALGORITHM, kid: this.#signer.kid, typ: TOKEN_TYPE })
      .setIssuer(this.#issuer)
      .setAudience(this.#audience)
      .setSubject(claims.userId)
      .setJti(claims.sessionId)
      .setIssuedAt()
      .setExpirationTime(claims.expiresAt)
      .sign(this.#signer.privateKey)
  }

  /**
   * @throws AppError `unauthenticated`, saying whether the token has expired or is invalid; its
   * `cause` is the reason as a short code, for the log.
   */
  async verify(token: string): Promise<AccessClaims> {
    if (token.length > MAX_TOKEN_LENGTH) throw invalid('too long')
    const recent = this.#recent
    const known = recent.get(token)
    if (known) return known
    const claims = await this.#check(token)
    recent.set(token, claims)
    return claims
  }

  /** What `jwks.json` publishes: public members only. */
  jwks(): { keys: PublicJwk[] } {
    return { keys: [...this.#byKid.values()].map(toPublicJwk) }
  }

  toJSON(): string {
    return `AccessTokens(${[...this.#byKid.keys()].join(', ')})`
  }

  [inspect.custom](): string {
    return this.toJSON()
  }

  async #check(token: string): Promise<AccessClaims> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#publicKey(kid), {
        algorithms: [ALGORITHM],
        typ: TOKEN_TYPE,
        ...this.#accepted,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ['sub', 'jti', 'iat', 'exp'],
      })
      return toClaims(payload)
    } catch (thrown) {
      throw thrown instanceof errors.JWTExpired ? expired() : invalid(reasonOf(thrown))
    }
  }

  #publicKey(kid: string | undefined): KeyObject {
    const pair = kid === undefined ? undefined : this.#byKid.get(kid)
    if (!pair) throw new errors.JWKSNoMatchingKey()
    return pair.publicKey
  }
}

function importKeys(keys: readonly SigningKey[]) {
  const pairs = keys.map(importKey)
  const [signer] = pairs
  if (!signer) throw new Error('Access tokens need at least one signing key.')
  return { signer, byKid: new Map(pairs.map((pair) => [pair.kid, pair])) }
}

/** The public key is derived from the private one, so the two cannot disagree. */
function importKey({ kid, privateJwk }: SigningKey): KeyPair {
  const privateKey = createPrivateKey({ key: privateJwk, format: 'jwk' })
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new Error(`Signing key ${kid} is not an Ed25519 key.`)
  }
  return { kid, privateKey, publicKey: createPublicKey(privateKey) }
}

function toPublicJwk({ kid, publicKey }: KeyPair): PublicJwk {
  const { x = '' } = publicKey.export({ format: 'jwk' })
  return { kty: 'OKP', crv: 'Ed25519', x, kid, alg: ALGORITHM, use: 'sig' }
}

/** jose checks that the claims are present, not that they are strings. */
function toClaims(payload: Record<string, unknown>): AccessClaims {
  const { sub, jti, exp, scope } = payload
  if (typeof sub !== 'string' || typeof jti !== 'string' || typeof exp !== 'number') {
    throw new errors.JWTInvalid('malformed claims')
  }
  return {
    userId: sub,
    sessionId: jti,
    expiresAt: new Date(exp * 1000),
    ...(typeof scope === 'string' ? { scope } : {}),
  }
}

/** Only the code: jose's errors contain the claims. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof errors.JWTClaimValidationFailed) return `${thrown.code} ${thrown.claim}`
  return thrown instanceof errors.JOSEError ? thrown.code : 'not verifiable'
}

function expired(): AppError {
  return new AppError('unauthenticated', 'The access token has expired. Sign in again.', {
    cause: 'expired',
  })
}

function invalid(reason: string): AppError {
  return new AppError(
    'unauthenticated',
    'The access token is not valid here. Sign in again to get a new one.',
    { cause: reason },
  )
}
