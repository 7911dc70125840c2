import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { chainHash, FIRST_PREV_HASH } from '../../src/crypto/audit-chain.ts'
import type { Schema } from '../../src/database/schema.ts'
import { AuditKeyRepository } from '../../src/repositories/audit/keys.ts'
import { openAuditKeys } from '../../src/services/audit/audit-keys.ts'
import { VAULT } from './conversations.ts'

/** Rows of one insert: PostgreSQL takes 65 535 parameters. */
const BATCH = 2000

/**
 * A chain of its own with so many events, made as the gateway makes them: to record them one by one
 * would take longer than all other cases together.
 */
export async function seedAuditEvents(db: Kysely<Schema>, count: number): Promise<void> {
  const keys = await openAuditKeys({ repository: new AuditKeyRepository(db), vault: VAULT })
  const { id: keyId, vault: macs } = keys.current
  const [chain, actorId, sessionId] = [randomUUID(), randomUUID(), randomUUID()]
  const at = new Date().toISOString()
  let hash: Buffer = FIRST_PREV_HASH
  for (let seq = 1; seq <= count; ) {
    const rows = []
    for (const end = Math.min(count, seq + BATCH - 1); seq <= end; seq++) {
      const event = {
        ...{ chain, seq: String(seq), at, action: 'auth.signed_in', actorKind: 'user', actorId },
        ...{ sessionId, addressPrefix: '192.0.2.0/24', targetKind: 'session', targetId: sessionId },
        ...{ teamId: null, detail: '{"kind":"browser"}' },
      }
      const prevHash = hash
      hash = chainHash(prevHash, event)
      rows.push({ ...event, at: new Date(at), prevHash, hash, mac: macs.mac(hash), keyId })
    }
    await db.insertInto('auditEvents').values(rows).execute()
  }
  await db
    .insertInto('auditHeads')
    .values({ chain, seq: String(count), hash })
    .execute()
  await sql`vacuum analyze audit_events`.execute(db)
}
