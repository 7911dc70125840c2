/** The keys of the audit log. */

import { generateSigningKey } from '../../crypto/tokens.ts'
import type { AuditKeyRepository, StoredAuditKey } from '../../repositories/audit/keys.ts'
import type { AuditVault, Vault } from '../keys/vault.ts'

export type AuditKey = { id: string; vault: AuditVault; publicJwk: Record<string, unknown> }

type Deps = { repository: AuditKeyRepository; vault: Vault }

/** Reads the stored keys; creates one if there is none yet. */
export async function openAuditKeys(deps: Deps): Promise<AuditKeys> {
  const stored = await deps.repository.list()
  if (stored.length > 0) return new AuditKeys(deps, stored)
  await deps.repository.insertFirst(await newKey(deps.vault))
  return openAuditKeys(deps)
}

/** The newest key makes events and checkpoints; all of them check. */
export class AuditKeys {
  readonly #deps: Deps
  readonly current: AuditKey

  constructor(deps: Deps, stored: readonly StoredAuditKey[]) {
    this.#deps = deps
    const [newest] = stored
    if (!newest) throw new Error('There is no key of the audit log.')
    this.current = this.#open(newest)
  }

  /** All that are stored now, by id. */
  async list(): Promise<Map<string, AuditKey>> {
    const stored = await this.#deps.repository.list()
    return new Map(stored.map((row) => [row.id, this.#open(row)]))
  }

  #open({ id, publicJwk, ...sealed }: StoredAuditKey): AuditKey {
    return { id, publicJwk, vault: this.#deps.vault.openAuditKey(id, sealed) }
  }
}

async function newKey(vault: Vault): Promise<StoredAuditKey> {
  const { kid, publicJwk, privateJwk } = await generateSigningKey()
  return { id: kid, publicJwk: { ...publicJwk }, ...vault.createAuditKey(kid, privateJwk) }
}
