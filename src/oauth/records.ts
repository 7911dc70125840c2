/**
 * The storage of oidc-provider (its documentation: "adapter"), in our database, so that a flow that
 * begins on one replica ends on another.
 *
 * An id is often the secret itself (a code, a refresh token), so rows are found by its SHA-256, and
 * the record, which repeats it, is sealed. A grant is only as good as its session's row: whoever
 * ends that ends the grant, and with it whatever the authorization server could still issue.
 */

import type { Repositories } from '../repositories/index.ts'
import { hashOf } from '../services/sessions.ts'
import type { Vault } from '../services/vault.ts'
import { type Adapter, type AdapterPayload, errors } from './oidc-provider.ts'
import { isAllowedRedirect } from './redirect-addresses.ts'
import { type Rotation, rotationUnderWay } from './refresh-rotation.ts'

export type RecordStore = {
  repositories: Pick<Repositories, 'oauthRecords' | 'sessions'>
  vault: Vault
}

/** A client that registered and never connected is forgotten. */
const UNUSED_CLIENT_SECONDS = 24 * 60 * 60
/** So long after its use a refresh token still gets what it got then. */
const REPEATABLE_SECONDS = 30

export class Records implements Adapter {
  readonly #model: string
  readonly #store: RecordStore

  constructor(model: string, store: RecordStore) {
    this.#model = model
    this.#store = store
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn?: number): Promise<void> {
    const key = hashOf(id)
    const ttlSeconds = expiresIn ?? UNUSED_CLIENT_SECONDS
    const record = {
      model: this.#model,
      key,
      sealed: this.#store.vault.sealOAuthRecord(this.#model, key, payload),
      userId: payload.accountId ?? null,
      grantId: payload.grantId ?? null,
      uidHash: payload.uid === undefined ? null : hashOf(payload.uid),
      expiresAt: new Date(Date.now() + ttlSeconds * 1000),
    }
    const rotation = this.#model === 'RefreshToken' ? rotationUnderWay() : undefined
    if (rotation?.replacedKey) return this.#succeed(rotation, rotation.replacedKey, record)
    await this.#store.repositories.oauthRecords.put(record)
  }

  /**
   * A refresh token that comes again soon after its use is a lost answer, or another process of the
   * same client: it gets the token that the first one got, so that there is one chain, whoever asks.
   *
   * @throws InvalidGrant when the first use is too long ago, or its token is gone.
   */
  async #succeed(rotation: Rotation, key: Buffer, record: NewRecord): Promise<void> {
    const { oauthRecords } = this.#store.repositories
    if (await oauthRecords.succeed(key, record)) return
    const row = await oauthRecords.findSuccessor(record.model, key, REPEATABLE_SECONDS)
    if (!row) throw new errors.InvalidGrant('already used')
    const { jti } = this.#store.vault.openOAuthRecord(record.model, row.key, row.sealed)
    rotation.successor = String(jti)
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    if (this.#model === 'Grant' && !(await this.#store.repositories.sessions.isLiveConnection(id)))
      return undefined
    return this.#open({ key: hashOf(id) })
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#open({ uidHash: hashOf(uid) })
  }

  /** Only the device flow has user codes, and it is off. */
  async findByUserCode(): Promise<undefined> {
    return undefined
  }

  /**
   * Of two uses of a code at the same moment one is refused: neither can be told from a thief's. A
   * refresh token is consumed by its successor.
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

  async #open(by: { key: Buffer } | { uidHash: Buffer }): Promise<AdapterPayload | undefined> {
    const row = await this.#store.repositories.oauthRecords.find(this.#model, by)
    if (!row) return undefined
    const record = this.#store.vault.openOAuthRecord(this.#model, row.key, row.sealed)
    if (this.#model === 'Client') return withAllowedRedirects(record)
    if (row.consumedAt === null || (await this.#isRepeatable(row.key))) return record
    return { ...record, consumed: Math.floor(row.consumedAt.getTime() / 1000) }
  }

  /** Seen as not used, it is not taken for a stolen one, and reaches {@link Records.#succeed}. */
  async #isRepeatable(key: Buffer): Promise<boolean> {
    if (this.#model !== 'RefreshToken' || !rotationUnderWay()) return false
    const { oauthRecords } = this.#store.repositories
    return (await oauthRecords.findSuccessor(this.#model, key, REPEATABLE_SECONDS)) !== undefined
  }
}

type NewRecord = Parameters<RecordStore['repositories']['oauthRecords']['succeed']>[1]

/** A client registered under another rule is held to this one; with no address left it is none. */
function withAllowedRedirects(client: AdapterPayload): AdapterPayload | undefined {
  const redirect_uris = [client.redirect_uris ?? []].flat().filter(isAllowedRedirect)
  return redirect_uris.length === 0 ? undefined : { ...client, redirect_uris }
}
