/** What each key-encryption key still seals: whether a replaced key can be removed. */

import type { KeyRing } from '../../crypto/sealed.ts'
import type { Repositories } from '../../repositories/index.ts'
import type { KeyedKind } from '../../repositories/keys/data-keys.ts'

type Deps = {
  repositories: Pick<Repositories, 'dataKeys'>
  keyRing: Pick<KeyRing, 'currentKeyId' | 'keyIds'>
}

export type KeyUse = {
  /** 16 hex digits; null: passwords of an older build, which use no key. */
  keyId: string | null
  state: 'current' | 'previous' | 'missing' | 'none'
  counts: { kind: KeyedKind; count: number }[]
}

export class EncryptionKeys {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Every key that is configured or still in use in the database; the current one first. */
  async list(): Promise<KeyUse[]> {
    const { repositories, keyRing } = this.#deps
    const counted = await repositories.dataKeys.countByKey()
    const ids = new Set([...keyRing.keyIds, ...counted.map(({ keyId }) => keyId)])
    return [...ids].map((keyId) => ({
      keyId,
      state: this.#stateOf(keyId),
      counts: counted.flatMap((row) => (row.keyId === keyId ? [row] : [])),
    }))
  }

  #stateOf(keyId: string | null): KeyUse['state'] {
    const { currentKeyId, keyIds } = this.#deps.keyRing
    if (keyId === null) return 'none'
    if (keyId === currentKeyId) return 'current'
    return keyIds.includes(keyId) ? 'previous' : 'missing'
  }
}
