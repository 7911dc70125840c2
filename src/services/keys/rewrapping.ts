/** Moves data keys under the current key-encryption key, while the gateway runs. */

import type { InTransaction, Transact } from '../../repositories/index.ts'
import type { KeyOwners } from '../../repositories/keys/data-keys.ts'
import type { Vault } from './vault.ts'

type Keys = Pick<InTransaction, 'dataKeys'>
type Rewrap = (id: string, wrapped: Buffer) => Buffer
type Deps = { transact: Transact<'dataKeys'>; vault: Vault }

/** Small enough that no request waits for a round. */
const KEYS_PER_ROUND = 100
/** A replica with the older key may seal under it until it is restarted. */
const LOOK_AGAIN_MS = 60 * 60_000

export class Rewrapping {
  readonly #deps: Deps
  #nextLookAt = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * Re-wraps some of the data keys that an older key still wraps; what they sealed stays as it is.
   *
   * @returns how many were moved.
   */
  async runRound(): Promise<number> {
    if (performance.now() < this.#nextLookAt) return 0
    // Also after an error, so that a key that is not configured is not tried every round.
    this.#nextLookAt = performance.now() + LOOK_AGAIN_MS
    const moved = await this.#deps.transact(async (repositories) => {
      const { vault } = this.#deps
      const move = (table: KeyOwners, rewrap: Rewrap) =>
        this.#moveOwners(repositories, table, rewrap)
      return (
        (await move('users', (id, key) => vault.rewrapUser(id, key))) +
        (await move('teams', (id, key) => vault.rewrapTeam(id, key))) +
        (await move('webhooks', (id, key) => vault.rewrapWebhook(id, key))) +
        (await this.#moveConversations(repositories)) +
        (await this.#moveNames(repositories)) +
        (await this.#moveSigning(repositories)) +
        (await this.#moveAudit(repositories)) +
        (await this.#moveOAuthRecords(repositories))
      )
    })
    if (moved > 0) this.#nextLookAt = 0
    return moved
  }

  async #moveOwners({ dataKeys }: Keys, table: KeyOwners, rewrap: Rewrap): Promise<number> {
    const rows = await dataKeys.listOwners(table, this.#deps.vault.currentKeyId, KEYS_PER_ROUND)
    for (const { id, dataKey } of rows) {
      await dataKeys.updateOwner(table, id, rewrap(id, dataKey))
    }
    return rows.length
  }

  async #moveConversations({ dataKeys }: Keys): Promise<number> {
    const { vault } = this.#deps
    const rows = await dataKeys.listConversations(vault.currentKeyId, KEYS_PER_ROUND)
    for (const ref of rows) {
      await dataKeys.updateConversation(ref.id, vault.rewrapConversation(ref))
    }
    return rows.length
  }

  async #moveNames({ dataKeys }: Keys): Promise<number> {
    const { vault } = this.#deps
    const wrapped = await dataKeys.findNames(vault.currentKeyId)
    if (wrapped === undefined) return 0
    await dataKeys.updateNames(vault.rewrapNameKey(wrapped))
    return 1
  }

  async #moveSigning({ dataKeys }: Keys): Promise<number> {
    const { vault } = this.#deps
    const rows = await dataKeys.listSigning(vault.currentKeyId, KEYS_PER_ROUND)
    for (const { kid, sealed } of rows) {
      await dataKeys.updateSigning(
        kid,
        vault.sealSigningKey(kid, vault.openSigningKey(kid, sealed)),
      )
    }
    return rows.length
  }

  async #moveAudit({ dataKeys }: Keys): Promise<number> {
    const { vault } = this.#deps
    const rows = await dataKeys.listAudit(vault.currentKeyId, KEYS_PER_ROUND)
    for (const { id, ...key } of rows) await dataKeys.updateAudit(id, vault.rewrapAuditKey(id, key))
    return rows.length
  }

  async #moveOAuthRecords({ dataKeys }: Keys): Promise<number> {
    const { vault } = this.#deps
    const rows = await dataKeys.listOAuthRecords(vault.currentKeyId, KEYS_PER_ROUND)
    for (const { model, key, sealed } of rows) {
      const record = vault.openOAuthRecord(model, key, sealed)
      await dataKeys.updateOAuthRecord(model, key, vault.sealOAuthRecord(model, key, record))
    }
    return rows.length
  }
}
