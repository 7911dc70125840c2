import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEncryptionKey } from '../../src/config/encryption-key.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { Vault } from '../../src/services/keys/vault.ts'
import type { TestApp } from '../support/start-app.ts'

/** The gateway's own keys, for rows that no tool would write: the past, or a thousand at once. */
export async function vaultOf({ config, dataDir }: TestApp): Promise<Vault> {
  const key =
    config.secrets.encryptionKey ??
    parseEncryptionKey(await readFile(join(dataDir, 'encryption-key'), 'utf8'))
  return new Vault(new KeyRing(key, []))
}
