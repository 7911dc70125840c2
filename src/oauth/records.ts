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

export type RecordStore = {
  repositories: Pick<Repositories, 'oauthRecords' | 'sessions'>
  vault: Vault
}

/** A client that registered and never connected is forgotten. */
const UNUSED_CLIENT_SECONDS = 24 * 60 * 60

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
    await this.#store.repositories.oauthRecords.put({
      model: this.#model,
      key,
      sealed: this.#store.vault.sealOAuthRecord(this.#model, key, payload),
      userId: payload.accountId ?? null,
      grantId: payload.grantId ?? null,
      uidHash: payload.uid === undefined ? null : hashOf(payload.uid),
      expiresAt: new Date(Date.now() + ttlSeconds * 1000),
    })
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

  /** Of two uses at the same moment one is refused: neither can be told from a thief's. */
  async consume(id: string): Promise<void> {
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
    const stored = this.#store.vault.openOAuthRecord(this.#model, row.key, row.sealed)
    const record = { ...stored, ...endByOwnClock(stored, row.secondsLeft) }
    if (row.consumedAt === null) return record
    return { ...record, consumed: Math.floor(row.consumedAt.getTime() / 1000) }
  }
}

/**
 * The provider holds the end that is in a record against its own clock, and whoever wrote it may
 * have had another. What is left by the database's clock is true for all.
 */
function endByOwnClock({ exp }: AdapterPayload, secondsLeft: number | null) {
  if (exp === undefined || secondsLeft === null) return {}
  return { exp: Math.ceil(Date.now() / 1000 + secondsLeft) }
}
