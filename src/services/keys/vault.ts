/**
 * Which key seals what, and to which row it is bound.
 *
 * The key-encryption key wraps one data key per user and one per conversation; everything else is
 * sealed under those. Destroying a data key's row makes all it sealed unreadable.
 */

import type { ContentBlock } from '../../claude/content.ts'
import { type Binding, DataKey, type KeyRing } from '../../crypto/sealed.ts'

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
  rewrapConversation({ id, userId, dataKey }: { id: string; userId: string; dataKey: Buffer }) {
    return this.#ring.rewrap(dataKey, conversationKeyBinding(id, userId))
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

  openUser(userId: string, wrapped: Buffer): UserVault {
    return new UserVault(userId, this.#ring.unwrap(wrapped, userKeyBinding(userId)))
  }

  createConversationKey(id: string, userId: string) {
    const key = DataKey.generate()
    const wrapped = this.#ring.wrap(key, conversationKeyBinding(id, userId))
    return { wrapped, vault: new ConversationVault(id, userId, key) }
  }

  openConversation({ id, userId, dataKey }: { id: string; userId: string; dataKey: Buffer }) {
    const key = this.#ring.unwrap(dataKey, conversationKeyBinding(id, userId))
    return new ConversationVault(id, userId, key)
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

  /** Lets Anthropic tell end users apart, and reveals nothing else about them. */
  endUserId(): string {
    return this.#key.mac('end user', this.#userId).toString('hex')
  }

  #binding(table: string, column: string): Binding {
    return { table, column, row: this.#userId, owner: this.#userId }
  }
}

/** Seals and opens one conversation's texts. */
export class ConversationVault {
  readonly #id: string
  readonly #userId: string
  readonly #key: DataKey

  constructor(id: string, userId: string, key: DataKey) {
    this.#id = id
    this.#userId = userId
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
    return { table: 'conversations', column, row: this.#id, owner: this.#userId }
  }

  /** The binding includes the conversation, so that a message cannot be moved into another one. */
  #messageBinding(messageId: string, column: 'content' | 'stop_sequence'): Binding {
    const row = `${this.#id}/${messageId}`
    return { table: 'messages', column, row, owner: this.#userId }
  }
}

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

const conversationKeyBinding = (id: string, userId: string): Binding => ({
  table: 'conversations',
  column: 'data_key',
  row: id,
  owner: userId,
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
