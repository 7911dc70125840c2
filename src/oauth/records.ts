/**
 * The storage of oidc-provider (its documentation: "adapter"), in our database, so that a flow that
 * begins on one replica ends on another.
 *
 * An id is often the secret itself (a code, a refresh token), so rows are found by its SHA-256, and
 * the record, which repeats it, is sealed. A grant is only as good as its session's row: whoever
 * ends that ends the grant, and with it whatever the authorization server could still issue.
 */

import type { Repositories, Transact } from '../repositories/index.ts'
import { hashOf } from '../services/access/sessions.ts'
import type { Vault } from '../services/keys/vault.ts'
import { type Adapter, type AdapterPayload, errors, OidcProvider } from './oidc-provider.ts'
import { isAllowedRedirect } from './redirect-addresses.ts'
import { type Rotation, rotationUnderWay } from './refresh-rotation.ts'

export type RecordStore = {
  repositories: Pick<Repositories, 'oauthRecords' | 'sessions'>
  transact: Transact
  vault: Vault
}

type NewRecord = Parameters<Repositories['oauthRecords']['put']>[0]
type RecordKey = { model: string; key: Buffer }

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

  /** @throws InvalidGrant or AccessDenied for what belongs to a connection that has ended since it was asked for. */
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

  /** Of two that meet, the end of a connection (or its renewal) and what it still issues, one is first. */
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
   * A refresh token that comes again soon after its use is a lost answer, or another process of the
   * same client: it gets the token that the first one got, so that there is one chain, whoever asks.
   *
   * @throws InvalidGrant when the first use is too long ago, or its token is gone.
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

  /** A browser, which is on its way back with a code, takes it to the client as a refusal. */
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

  /** Seen as not used, it is not taken for a stolen one, and reaches {@link Records.#succeed}. */
  async #isRepeatable(key: Buffer): Promise<boolean> {
    if (this.#model !== 'RefreshToken' || !rotationUnderWay()) return false
    const { oauthRecords } = this.#store.repositories
    return (await oauthRecords.findSuccessor(this.#model, key, REPEATABLE_SECONDS)) !== undefined
  }
}

/** A client registered under another rule is held to this one; with no address left it is none. */
function withAllowedRedirects(client: AdapterPayload): AdapterPayload | undefined {
  const redirect_uris = [client.redirect_uris ?? []].flat().filter(isAllowedRedirect)
  return redirect_uris.length === 0 ? undefined : { ...client, redirect_uris }
}

/**
 * The code or refresh token that is traded in for a refresh token: approving its client again
 * deletes it, also when that comes between its use and the new token.
 */
function sourceOfRefreshToken(): RecordKey | undefined {
  const { RotatedRefreshToken, AuthorizationCode } = OidcProvider.ctx?.oidc?.entities ?? {}
  const source = RotatedRefreshToken ?? AuthorizationCode
  return source && { model: source.kind, key: hashOf(source.jti) }
}

/**
 * The provider holds the end that is in a record against its own clock, and whoever wrote it may
 * have had another. What is left by the database's clock is true for all.
 */
function endByOwnClock({ exp }: AdapterPayload, secondsLeft: number | null) {
  if (exp === undefined || secondsLeft === null) return {}
  return { exp: Math.ceil(Date.now() / 1000 + secondsLeft) }
}
