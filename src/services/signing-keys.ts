import { generateSigningKey, type SigningKey } from '../crypto/tokens.ts'
import type { SigningKeyRepository } from '../repositories/signing-keys.ts'
import type { Vault } from './vault.ts'

/** The keys that sign and verify access tokens, newest first; the first start makes one. */
export async function loadSigningKeys(
  repository: SigningKeyRepository,
  vault: Vault,
): Promise<SigningKey[]> {
  const stored = await repository.list()
  if (stored.length === 0) {
    const { kid, publicJwk, privateJwk, createdAt } = await generateSigningKey()
    const sealed = vault.sealSigningKey(kid, privateJwk)
    await repository.insertFirst({ kid, publicJwk: { ...publicJwk }, sealed, createdAt })
    return loadSigningKeys(repository, vault)
  }
  return stored.map(({ kid, publicJwk, sealed, createdAt }) => ({
    kid,
    publicJwk,
    privateJwk: vault.openSigningKey(kid, sealed),
    createdAt,
  }))
}
