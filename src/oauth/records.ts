/**
 * oidc-provider's storage ("adapter" in its documentation) in our database, so that a flow can
 * start on one replica and end on another.
 *
 * An id is often the secret itself (a code, a refresh token), so rows are keyed by its SHA-256, and
 * the record, which contains it, is encrypted. A grant is valid as long as its session's row:
 * ending the session ends the grant and everything the server could still issue for it.
 */

import type { Repositories, Transact } from '../repositories/index.ts'
import { hashOf } from '../services/access/sessions.ts'
import type { Vault } from '../services/keys/vault.ts'
import { type Adapter, type AdapterPayload, errors, OidcProvider } from './oidc-provider.ts'
import { isAllowedRedirect } from './redirect-addresses.ts'
import { type Rotation, rotationUnderWay } from './refresh-rotation.ts'

export type RecordStore = {
  repositories: Pick<Repositories, 'oauthRecords' | 'sessions'>
  transact: Transact<'auditEvents' | 'authority' | 'oauthRecords' | 'sessions'>
  vault: Vault
}

type NewRecord = Parameters<Repositories['oauthRecords']['put']>[0]
type RecordKey = { model: string; key: Buffer }

/** A client that registers and never connects is deleted. */
const UNUSED_CLIENT_SECONDS = 24 * 60 * 60
/** How long after its use a refresh token can be repeated, with the same answer. */
const REPEATABLE_SECONDS = 30

export class Records implements Adapter {
  readonly #model: string
  readonly #store: RecordStore

  constructor(model: string, store: RecordStore) {
    this.#model = model
    this.#store = store
  }

  /** @throws InvalidGrant or AccessDenied for a connection that has ended since the request. */
  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const key = hashOf(id)
    const ttlSeconds = expiresIn ?? UNUSED_CLIENT_SECONDS
    const { grantId, accountId } = payload
    const record = {
      model: this.#model,
      key,
      sealed: this.#store.vault.sealOAuthRecord(this.#model, key, payload),
      userId: accountId ?? null,
      grantId: grantId ?? null,
      uidHash: payload.uid === undefined ? null : hashOf(payload.uid),
      expiresAt: new Date(Date.now() + ttlSeconds * 1000),
    }
    if (grantId === undefined || accountId === undefined) {
      return this.#store.repositories.oauthRecords.put(record)
    }
    await this.#putHeld(record, { grantId, accountId })
  }

  /** Serialised with the end or renewal of the connection, so that neither overlooks the other. */
  async #putHeld(
    record: NewRecord,
    { grantId, accountId }: Record<'grantId' | 'accountId', string>,
  ) {
    const isRefreshToken = this.#model === 'RefreshToken'
    const source = isRefreshToken ? sourceOfRefreshToken() : undefined
    const rotation = isRefreshToken ? rotationUnderWay() : undefined
    await this.#store.transact(async ({ authority, oauthRecords }) => {
      const isLive = (await authority.holdLive(grantId, accountId)) !== undefined
      const isGranted = !source || (await oauthRecords.find(source.model, source)) !== undefined
      if (!isLive || !isGranted) throw this.#ended()
      if (rotation?.replacedKey) await this.#succeed(oauthRecords, rotation, record)
      else await oauthRecords.put(record)
    })
  }

  /**
   * A refresh token repeated soon after its use means a lost answer, or another process of the same
   * client: it gets the successor that the first request got, so that there is only one chain.
   *
   * @throws InvalidGrant when the first use is too long ago, or its successor is gone.
   */
  async #succeed(
    oauthRecords: Repositories['oauthRecords'],
    rotation: Rotation,
    record: NewRecord,
  ): Promise<void> {
    const key = rotation.replacedKey as Buffer
    if (await oauthRecords.succeed(key, record)) return
    const row = await oauthRecords.findSuccessor(record.model, key, REPEATABLE_SECONDS)
    if (!row) throw new errors.InvalidGrant('already used')
    const { jti } = this.#store.vault.openOAuthRecord(record.model, row.key, row.sealed)
    rotation.successor = String(jti)
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const { sessions } = this.#store.repositories
    if (this.#model === 'Grant' && !(await sessions.isLive(id, 'connection'))) return undefined
    return this.#open({ key: hashOf(id) })
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#open({ uidHash: hashOf(uid) })
  }

  /** User codes belong to the device flow, which is off. */
  async findByUserCode(): Promise<undefined> {
    return undefined
  }

  /**
   * Of two concurrent uses of a code, the second is refused: either may be a thief's. A refresh
   * token is consumed when its successor is stored.
   */
  async consume(id: string): Promise<void> {
    const rotation = this.#model === 'RefreshToken' ? rotationUnderWay() : undefined
    if (rotation) {
      rotation.replacedKey = hashOf(id)
      return
    }
    const isFirst = await this.#store.repositories.oauthRecords.consume(this.#model, hashOf(id))
    if (!isFirst) throw new errors.InvalidGrant('already used')
  }

  async destroy(id: string): Promise<void> {
    if (this.#model === 'Grant') await this.#store.repositories.sessions.revokeConnection(id)
    await this.#store.repositories.oauthRecords.delete(this.#model, hashOf(id))
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.#store.repositories.sessions.revokeConnection(grantId)
    await this.#store.repositories.oauthRecords.deleteByGrant(grantId)
  }

  /** AccessDenied reaches the client by the browser, which is being redirected with a code. */
  #ended(): Error {
    const reason = 'the connection has ended'
    return this.#model === 'AuthorizationCode'
      ? new errors.AccessDenied(reason)
      : new errors.InvalidGrant(reason)
  }

  async #open(by: { key: Buffer } | { uidHash: Buffer }): Promise<AdapterPayload | undefined> {
    const row = await this.#store.repositories.oauthRecords.find(this.#model, by)
    if (!row) return undefined
    const stored = this.#store.vault.openOAuthRecord(this.#model, row.key, row.sealed)
    const record = { ...stored, ...endByOwnClock(stored, row.secondsLeft) }
    if (this.#model === 'Client') return withAllowedRedirects(record)
    if (row.consumedAt === null || (await this.#isRepeatable(row.key))) return record
    return { ...record, consumed: Math.floor(row.consumedAt.getTime() / 1000) }
  }

  /** If repeatable, shown as unused: not treated as stolen, it reaches {@link Records.#succeed}. */
  async #isRepeatable(key: Buffer): Promise<boolean> {
    if (this.#model !== 'RefreshToken' || !rotationUnderWay()) return false
    const { oauthRecords } = this.#store.repositories
    return (await oauthRecords.findSuccessor(this.#model, key, REPEATABLE_SECONDS)) !== undefined
  }
}

/** Applies today's redirect rules to stored clients; one without any valid address is dropped. */
function withAllowedRedirects(client: AdapterPayload): AdapterPayload | undefined {
  const redirect_uris = [client.redirect_uris ?? []].flat().filter(isAllowedRedirect)
  return redirect_uris.length === 0 ? undefined : { ...client, redirect_uris }
}

/**
 * The code or refresh token exchanged for a refresh token: approving its client again deletes it,
 * even between its use and the new token.
 */
function sourceOfRefreshToken(): RecordKey | undefined {
  const { RotatedRefreshToken, AuthorizationCode } = OidcProvider.ctx?.oidc?.entities ?? {}
  const source = RotatedRefreshToken ?? AuthorizationCode
  return source && { model: source.kind, key: hashOf(source.jti) }
}

/**
 * The provider compares a record's expiry with the local clock, but another replica's clock may
 * have written it. The time left by the database's clock is valid on all replicas.
 */
function endByOwnClock({ exp }: AdapterPayload, secondsLeft: number | null) {
  if (exp === undefined || secondsLeft === null) return {}
  return { exp: Math.ceil(Date.now() / 1000 + secondsLeft) }
}
