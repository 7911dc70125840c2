/** A team with a key, written straight into the database: by page and tool it takes a browser. */

import { parseEncryptionKey } from '../../src/config/encryption-key.ts'
import { newId } from '../../src/crypto/random.ts'
import { KeyRing } from '../../src/crypto/sealed.ts'
import { Vault } from '../../src/services/keys/vault.ts'

/** A limit of a month in nano-USD; left out: none. */
type Limits = { pool?: bigint; member?: bigint }

/**
 * @param encryptionKey of the gateway, in base64.
 * @returns the id of the team, and the SQL of one statement that makes it.
 */
export function teamWith(
  encryptionKey: string,
  memberIds: readonly string[],
  { pool, member }: Limits = {},
): { id: string; sql: string } {
  const [id, keyId] = [newId(), newId()]
  const vault = new Vault(new KeyRing(parseEncryptionKey(encryptionKey), []))
  const dataKey = vault.createTeamKey(id)
  const sealed = vault.openTeam(id, dataKey).sealApiKey(keyId, `sk-ant-api03-of-${id}`)
  const members = memberIds.map((userId) => `('${id}', '${userId}', 'owner')`)
  const sql = `
    with team as (
      insert into teams (id, name, name_key, data_key)
      values ('${id}', 'Team ${id}', '${id}', '\\x${dataKey.toString('hex')}')
    ), member as (
      insert into team_members (team_id, user_id, role) values ${members.join(', ')}
    ), pool as (
      insert into team_budgets (team_id, period, set_by, limit_nano_usd)
      select '${id}', 'month', 'team', ${pool ?? null} where ${pool !== undefined}
    ), part as (
      insert into member_caps (team_id, period, limit_nano_usd)
      select '${id}', 'month', ${member ?? null} where ${member !== undefined}
    )
    insert into team_keys (id, team_id, sealed, last_four)
    values ('${keyId}', '${id}', '\\x${sealed.toString('hex')}', '${id.slice(-4)}')`
  return { id, sql }
}
