/**
 * Which key seals what, and to which row it is bound.
 *
 * The key-encryption key wraps one data key per user, per team, per conversation and per webhook;
 * everything else is sealed under those. Destroying a data key's row makes all it sealed unreadable.
 */

import type { ContentBlock } from '../../claude/content.ts'
import { type Binding, DataKey, type KeyRing } from '../../crypto/sealed.ts'
import type { ConversationRef } from '../../repositories/access/conversation-ref.ts'

export class Vault {
  readonly #ring: KeyRing

  constructor(ring: KeyRing) {
    this.#ring = ring
  }

  createUserKey(userId: string) {
    const key = DataKey.generate()
    return {
      wrapped: this.#ring.wrap(key, userKeyBinding(userId)),
      vault: new UserVault(userId, key),
    }
  }

  get currentKeyId(): string {
    return this.#ring.currentKeyId
  }

  /** The same data key under the current key-encryption key. */
  rewrapUser(userId: string, wrapped: Buffer): Buffer {
    return this.#ring.rewrap(wrapped, userKeyBinding(userId))
  }

  /** The same data key under the current key-encryption key. */
  rewrapConversation({ id, sealedFor, dataKey }: ConversationRef): Buffer {
    return this.#ring.rewrap(dataKey, conversationKeyBinding(id, sealedFor))
  }

  openTeam(teamId: string, wrapped: Buffer): TeamVault {
    return new TeamVault(teamId, this.#ring.unwrap(wrapped, teamKeyBinding(teamId)))
  }

  createTeamKey(teamId: string): Buffer {
    return this.#ring.wrap(DataKey.generate(), teamKeyBinding(teamId))
  }

  /** The same data key under the current key-encryption key. */
  rewrapTeam(teamId: string, wrapped: Buffer): Buffer {
    return this.#ring.rewrap(wrapped, teamKeyBinding(teamId))
  }

  /** For a new webhook. */
  createWebhookKey(id: string) {
    const key = DataKey.generate()
    const wrapped = this.#ring.wrap(key, webhookBinding(id, 'data_key'))
    return { wrapped, vault: new WebhookVault(id, key) }
  }

  openWebhook(id: string, wrapped: Buffer): WebhookVault {
    return new WebhookVault(id, this.#ring.unwrap(wrapped, webhookBinding(id, 'data_key')))
  }

  /** The same data key under the current key-encryption key. */
  rewrapWebhook(id: string, wrapped: Buffer): Buffer {
    return this.#ring.rewrap(wrapped, webhookBinding(id, 'data_key'))
  }

  /** A key for {@link openNameKey}, wrapped. */
  createNameKey(): Buffer {
    return this.#ring.wrap(DataKey.generate(), nameKeyBinding)
  }

  rewrapNameKey(wrapped: Buffer): Buffer {
    return this.#ring.rewrap(wrapped, nameKeyBinding)
  }

  /** Opens the key that hashes the names of deleted accounts, so that they can be recognised. */
  openNameKey(wrapped: Buffer): NameVault {
    return new NameVault(this.#ring.unwrap(wrapped, nameKeyBinding))
  }

  /** The keys of the audit log: one for MACs, wrapped, and the sealed one that signs checkpoints. */
  createAuditKey(id: string, privateJwk: object) {
    return {
      dataKey: this.#ring.wrap(DataKey.generate(), auditKeyBinding(id, 'data_key')),
      sealed: this.#ring.seal(JSON.stringify(privateJwk), auditKeyBinding(id, 'sealed')),
    }
  }

  openAuditKey(id: string, { dataKey, sealed }: { dataKey: Buffer; sealed: Buffer }): AuditVault {
    const key = this.#ring.unwrap(dataKey, auditKeyBinding(id, 'data_key'))
    const jwk = this.#ring.openText(sealed, auditKeyBinding(id, 'sealed'))
    return new AuditVault(key, JSON.parse(jwk))
  }

  /** The same keys under the current key-encryption key. */
  rewrapAuditKey(id: string, { dataKey, sealed }: { dataKey: Buffer; sealed: Buffer }) {
    const binding = auditKeyBinding(id, 'sealed')
    return {
      dataKey: this.#ring.rewrap(dataKey, auditKeyBinding(id, 'data_key')),
      sealed: this.#ring.seal(this.#ring.open(sealed, binding), binding),
    }
  }

  openUser(userId: string, wrapped: Buffer): UserVault {
    return new UserVault(userId, this.#ring.unwrap(wrapped, userKeyBinding(userId)))
  }

  /** For a new conversation of the user. */
  createConversationKey(id: string, userId: string) {
    const key = DataKey.generate()
    const wrapped = this.#ring.wrap(key, conversationKeyBinding(id, userId))
    return { wrapped, vault: new ConversationVault(id, userId, key) }
  }

  /** For any reader with access to it, which was checked where the reference was made. */
  openConversation({ id, sealedFor, dataKey }: ConversationRef): ConversationVault {
    const key = this.#ring.unwrap(dataKey, conversationKeyBinding(id, sealedFor))
    return new ConversationVault(id, sealedFor, key)
  }

  /** Where a search goes on, for its user alone. */
  sealSearchPlace(userId: string, place: string): Buffer {
    return this.#ring.seal(place, searchPlaceBinding(userId))
  }

  openSearchPlace(userId: string, sealed: Buffer): string {
    return this.#ring.openText(sealed, searchPlaceBinding(userId))
  }

  sealSigningKey(kid: string, privateJwk: object): Buffer {
    return this.#ring.seal(JSON.stringify(privateJwk), signingKeyBinding(kid))
  }

  openSigningKey(kid: string, sealed: Buffer): Record<string, unknown> {
    return JSON.parse(this.#ring.openText(sealed, signingKeyBinding(kid)))
  }

  /** `key`: the key of the record's row. */
  sealOAuthRecord(model: string, key: Buffer, record: object): Buffer {
    return this.#ring.seal(JSON.stringify(record), oauthRecordBinding(model, key))
  }

  openOAuthRecord(model: string, key: Buffer, sealed: Buffer): Record<string, unknown> {
    return JSON.parse(this.#ring.openText(sealed, oauthRecordBinding(model, key)))
  }
}

/** Hashes of names, which only the holder of the key can compute or compare. */
export class NameVault {
  readonly #key: DataKey

  constructor(key: DataKey) {
    this.#key = key
  }

  usernameHash(usernameKey: string): Buffer {
    return this.#key.mac('former username', usernameKey)
  }

  emailHash(emailKey: string): Buffer {
    return this.#key.mac('former email', emailKey)
  }
}

/** What only the gateway can add to the audit log. */
export class AuditVault {
  readonly #key: DataKey
  /** An Ed25519 key. */
  readonly signingJwk: Record<string, unknown>

  constructor(key: DataKey, signingJwk: Record<string, unknown>) {
    this.#key = key
    this.signingJwk = signingJwk
  }

  /** HMAC-SHA256 of an event's hash. */
  mac(hash: Buffer): Buffer {
    return this.macOfHex(hash.toString('hex'))
  }

  /** @param hash in hex. */
  macOfHex(hash: string): Buffer {
    return this.#key.mac('audit event', hash)
  }
}

/** Seals and opens a user's own values. */
export class UserVault {
  readonly #userId: string
  readonly #key: DataKey

  constructor(userId: string, key: DataKey) {
    this.#userId = userId
    this.#key = key
  }

  sealApiKey(apiKey: string): Buffer {
    return this.#key.seal(apiKey, this.#binding('api_keys', 'sealed'))
  }

  openApiKey(sealed: Buffer): string {
    return this.#key.openText(sealed, this.#binding('api_keys', 'sealed'))
  }

  /**
   * A hash of the idempotency key: enough to recognise it.
   *
   * @param sessionId for a key that belongs to one session rather than to its user.
   */
  idempotencyHash(idempotencyKey: string, sessionId?: string): Buffer {
    if (sessionId === undefined) return this.#key.mac('idempotency key', idempotencyKey)
    return this.#key.mac('idempotency key of a session', `${sessionId}/${idempotencyKey}`)
  }

  /** Distinguishes a repeated call from a different one without storing its text. */
  requestFingerprint(canonicalArguments: string): Buffer {
    return this.#key.mac('request fingerprint', canonicalArguments)
  }

  /** A hash of a conversation's id in another service: enough to recognise a second import. */
  importRef(source: string, sourceId: string): Buffer {
    return this.#key.mac('imported conversation', `${source}/${sourceId}`)
  }

  /** Lets Anthropic tell end users apart, and reveals nothing else about them. */
  endUserId(): string {
    return this.#key.mac('end user', this.#userId).toString('hex')
  }

  /** Of a request of the user's about a limit of their own. */
  sealReason(userId: string, id: string, reason: string): Buffer {
    return this.#key.seal(reason, reasonBinding(userId, id, this.#userId))
  }

  openReason(userId: string, id: string, sealed: Buffer): string {
    return this.#key.openText(sealed, reasonBinding(userId, id, this.#userId))
  }

  #binding(table: string, column: string): Binding {
    return { table, column, row: this.#userId, owner: this.#userId }
  }
}

/** Seals and opens a team's own values. */
export class TeamVault {
  readonly #teamId: string
  readonly #key: DataKey

  constructor(teamId: string, key: DataKey) {
    this.#teamId = teamId
    this.#key = key
  }

  sealApiKey(id: string, apiKey: string): Buffer {
    return this.#key.seal(apiKey, this.#keyBinding(id))
  }

  openApiKey(id: string, sealed: Buffer): string {
    return this.#key.openText(sealed, this.#keyBinding(id))
  }

  /** Like {@link UserVault.endUserId}, and not the same: a member's own use stays apart. */
  endUserId(userId: string): string {
    return this.#key.mac('end user', userId).toString('hex')
  }

  /** Of a member's request about the team's money. */
  sealReason(userId: string, id: string, reason: string): Buffer {
    return this.#key.seal(reason, reasonBinding(userId, id, this.#teamId))
  }

  openReason(userId: string, id: string, sealed: Buffer): string {
    return this.#key.openText(sealed, reasonBinding(userId, id, this.#teamId))
  }

  #keyBinding(id: string): Binding {
    return { table: 'team_keys', column: 'sealed', row: id, owner: this.#teamId }
  }
}

/** Seals and opens what belongs to one webhook. */
export class WebhookVault {
  readonly #id: string
  readonly #key: DataKey

  constructor(id: string, key: DataKey) {
    this.#id = id
    this.#key = key
  }

  sealUrl(url: string): Buffer {
    return this.#key.seal(url, webhookBinding(this.#id, 'url'))
  }

  openUrl(sealed: Buffer): string {
    return this.#key.openText(sealed, webhookBinding(this.#id, 'url'))
  }

  /** Also of the one before it: a secret moves from one column to the other as it is. */
  sealSecret(secret: string): Buffer {
    return this.#key.seal(secret, webhookBinding(this.#id, 'secret'))
  }

  openSecret(sealed: Buffer): string {
    return this.#key.openText(sealed, webhookBinding(this.#id, 'secret'))
  }

  sealBody(deliveryId: string, body: string): Buffer {
    return this.#key.seal(body, this.#bodyBinding(deliveryId))
  }

  openBody(deliveryId: string, sealed: Buffer): string {
    return this.#key.openText(sealed, this.#bodyBinding(deliveryId))
  }

  #bodyBinding(deliveryId: string): Binding {
    const row = `${this.#id}/${deliveryId}`
    return { table: 'webhook_deliveries', column: 'body', row, owner: '' }
  }
}

/** Seals and opens one conversation's texts. */
export class ConversationVault {
  readonly #id: string
  readonly #sealedFor: string
  readonly #key: DataKey

  constructor(id: string, sealedFor: string, key: DataKey) {
    this.#id = id
    this.#sealedFor = sealedFor
    this.#key = key
  }

  sealTitle(title: string): Buffer {
    return this.#key.seal(title, this.#binding('title'))
  }

  openTitle(sealed: Buffer): string {
    return this.#key.openText(sealed, this.#binding('title'))
  }

  sealSystemPrompt(text: string): Buffer {
    return this.#key.seal(text, this.#binding('system_prompt'))
  }

  openSystemPrompt(sealed: Buffer): string {
    return this.#key.openText(sealed, this.#binding('system_prompt'))
  }

  sealLinkLabel(linkId: string, label: string): Buffer {
    return this.#key.seal(label, this.#labelBinding(linkId))
  }

  openLinkLabel(linkId: string, sealed: Buffer): string {
    return this.#key.openText(sealed, this.#labelBinding(linkId))
  }

  sealContent(messageId: string, content: readonly ContentBlock[]): Buffer {
    return this.#key.seal(JSON.stringify(content), this.#messageBinding(messageId, 'content'))
  }

  sealStopSequence(messageId: string, text: string): Buffer {
    return this.#key.seal(text, this.#messageBinding(messageId, 'stop_sequence'))
  }

  openStopSequence(messageId: string, sealed: Buffer): string {
    return this.#key.openText(sealed, this.#messageBinding(messageId, 'stop_sequence'))
  }

  openContent(messageId: string, sealed: Buffer): ContentBlock[] {
    return JSON.parse(this.#key.openText(sealed, this.#messageBinding(messageId, 'content')))
  }

  #binding(column: string): Binding {
    return { table: 'conversations', column, row: this.#id, owner: this.#sealedFor }
  }

  #labelBinding(linkId: string): Binding {
    const row = `${this.#id}/${linkId}`
    return { table: 'conversation_links', column: 'label', row, owner: this.#sealedFor }
  }

  /** The binding includes the conversation, so that a message cannot be moved into another one. */
  #messageBinding(messageId: string, column: 'content' | 'stop_sequence'): Binding {
    const row = `${this.#id}/${messageId}`
    return { table: 'messages', column, row, owner: this.#sealedFor }
  }
}

/** It includes the asking user, so that the reason cannot be moved to another user's request. */
const reasonBinding = (userId: string, id: string, owner: string): Binding => ({
  table: 'budget_requests',
  column: 'reason',
  row: `${userId}/${id}`,
  owner,
})

const nameKeyBinding: Binding = {
  table: 'name_keys',
  column: 'data_key',
  row: '1',
  owner: '',
}

const userKeyBinding = (userId: string): Binding => ({
  table: 'users',
  column: 'data_key',
  row: userId,
  owner: userId,
})

const teamKeyBinding = (teamId: string): Binding => ({
  table: 'teams',
  column: 'data_key',
  row: teamId,
  owner: teamId,
})

const conversationKeyBinding = (id: string, sealedFor: string): Binding => ({
  table: 'conversations',
  column: 'data_key',
  row: id,
  owner: sealedFor,
})

const searchPlaceBinding = (userId: string): Binding => ({
  table: 'searches',
  column: 'cursor',
  row: userId,
  owner: userId,
})

const webhookBinding = (id: string, column: 'data_key' | 'url' | 'secret'): Binding => ({
  table: 'webhooks',
  column,
  row: id,
  owner: '',
})

const auditKeyBinding = (id: string, column: 'data_key' | 'sealed'): Binding => ({
  table: 'audit_keys',
  column,
  row: id,
  owner: '',
})

const signingKeyBinding = (kid: string): Binding => ({
  table: 'signing_keys',
  column: 'sealed',
  row: kid,
  owner: '',
})

const oauthRecordBinding = (model: string, key: Buffer): Binding => ({
  table: 'oauth_records',
  column: 'sealed',
  row: `${model}/${key.toString('hex')}`,
  owner: '',
})

/** The visible text of a message: its text blocks, concatenated. */
export function textOf(content: readonly ContentBlock[]): string {
  return content.map((block) => (block.type === 'text' ? (block.text ?? '') : '')).join('')
}
