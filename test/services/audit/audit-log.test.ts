import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KeyRing } from '../../../src/crypto/sealed.ts'
import { type Database, openDatabase } from '../../../src/database/open.ts'
import { createLogger } from '../../../src/log.ts'
import { createRepositories, createTransact } from '../../../src/repositories/index.ts'
import { OPERATOR } from '../../../src/services/audit/audit-actor.ts'
import { type AuditKeys, openAuditKeys } from '../../../src/services/audit/audit-keys.ts'
import {
  type AuditEvent,
  AuditLog,
  INSTALLATION_CHAIN,
} from '../../../src/services/audit/audit-log.ts'
import { AuditCheckpoints } from '../../../src/services/audit/checkpoints.ts'
import { AuditVerification } from '../../../src/services/audit/verification.ts'
import { Vault } from '../../../src/services/keys/vault.ts'
import {
  describeDatabases,
  type FreshDatabase,
  freshDatabaseOptions,
} from '../../support/databases.ts'

const keyRing = new KeyRing(Buffer.alloc(32, 7))

describeDatabases('the audit log', (kind) => {
  let fresh: FreshDatabase
  let database: Database
  let keys: AuditKeys

  beforeEach(async () => {
    fresh = await freshDatabaseOptions(kind)
    database = await openDatabase(fresh)
    keys = await openKeys()
  })

  afterEach(async () => {
    await database.close()
    await fresh.drop()
  })

  const openKeys = () =>
    openAuditKeys({
      repository: createRepositories(database.db).auditKeys,
      vault: new Vault(keyRing),
    })

  async function record(event: Partial<AuditEvent> = {}): Promise<void> {
    const log = new AuditLog({ keys })
    await createTransact(database.db)((tx) =>
      log.record(tx, { action: 'user.deleted', actor: OPERATOR, ...event }),
    )
  }

  const verification = () =>
    new AuditVerification({ events: createRepositories(database.db).auditEvents, keys })
  const checkpoints = () =>
    new AuditCheckpoints({
      repositories: createRepositories(database.db),
      transact: createTransact(database.db),
      keys,
      log: createLogger('silent'),
    })

  const change = (statement: string) => sql.raw(statement).execute(database.db)

  async function recordFive(): Promise<void> {
    for (let i = 0; i < 5; i += 1) await record({ detail: { sessions: i } })
  }

  test('is clean after events in several chains', async () => {
    const teamId = randomUUID()
    await recordFive()
    await record({
      teamId,
      actor: {
        kind: 'user',
        userId: randomUUID(),
        sessionId: randomUUID(),
        addressPrefix: '192.0.2.0/24',
      },
      target: { kind: 'user', id: randomUUID() },
      detail: { role: 'admin', before: null },
    })
    expect(await verification().run()).toEqual({ chains: 2, events: 6, faults: [] })
    expect(await verification().run({ chain: teamId })).toMatchObject({ chains: 1, events: 1 })
  })

  test('of concurrent writers has every event once, in one order', async () => {
    await Promise.all(Array.from({ length: 32 }, () => record()))
    expect(await verification().run()).toEqual({ chains: 1, events: 32, faults: [] })
  })

  test('has no event of a change that was rolled back', async () => {
    await record()
    const log = new AuditLog({ keys })
    const rolledBack = createTransact(database.db)(async (tx) => {
      await log.record(tx, { action: 'user.deleted', actor: OPERATOR })
      throw new Error('the change failed')
    })
    await expect(rolledBack).rejects.toThrow('the change failed')
    expect(await verification().run()).toMatchObject({ events: 1, faults: [] })
  })

  test('refuses a change whose event cannot be written', async () => {
    await change('alter table audit_heads rename to audit_heads_away')
    const log = new AuditLog({ keys })
    const changed = createTransact(database.db)(async (tx) => {
      await tx.auditCheckpoints.insert('the change')
      await log.record(tx, { action: 'user.deleted', actor: OPERATOR })
    })
    await expect(changed).rejects.toThrow()
    const { rows } = await sql`select from audit_checkpoints`.execute(database.db)
    expect(rows).toHaveLength(0)
  })

  const hashOfThird = `(select hash from audit_events where seq = 3)`
  test.each([
    ['an edited detail', `update audit_events set detail = '{}' where seq = 3`, 'edited', '3'],
    [
      'another actor',
      `update audit_events set actor_id = gen_random_uuid() where seq = 3`,
      'edited',
      '3',
    ],
    [
      'another time',
      `update audit_events set at = at + interval '1 ms' where seq = 3`,
      'edited',
      '3',
    ],
    ['a removed event', `delete from audit_events where seq = 3`, 'missing', '3'],
    ['a removed first event', `delete from audit_events where seq = 1`, 'missing', '1'],
    [
      'a removed event whose place was closed',
      `delete from audit_events where seq = 3; update audit_events set seq = seq - 1 where seq > 3;
       update audit_heads set seq = 4`,
      'out of order',
      '3',
    ],
    [
      'two swapped events',
      `update audit_events set seq = case seq when 2 then 103 else 102 end where seq in (2, 3);
       update audit_events set seq = seq - 100 where seq > 100`,
      'out of order',
      '2',
    ],
    ['a cut-off end', `delete from audit_events where seq > 3`, 'cut off', '4'],
    ['a removed chain', `delete from audit_events`, 'cut off', '1'],
    [
      'an event that only SQL made',
      `insert into audit_events (chain, seq, at, action, actor_kind, detail, prev_hash, hash, mac, key_id)
       select chain, 6, at, 'user.added', actor_kind, detail, hash, sha256(hash), mac, key_id
       from audit_events where seq = 5;
       update audit_heads set seq = 6`,
      'edited',
      '6',
    ],
    [
      'an event that only SQL made, behind the head',
      `insert into audit_events (chain, seq, at, action, actor_kind, detail, prev_hash, hash, mac, key_id)
       select chain, 6, at, action, actor_kind, detail, hash, sha256(hash), mac, key_id
       from audit_events where seq = 5`,
      'beyond the head',
      '6',
    ],
    [
      'a head that was set back',
      `update audit_heads set seq = 4, hash = (select hash from audit_events where seq = 4)`,
      'beyond the head',
      '5',
    ],
    [
      'a MAC of another event',
      `update audit_events set mac = (select mac from audit_events where seq = 1) where seq = 3`,
      'forged',
      '3',
    ],
    [
      'a head that is not of the last event',
      `update audit_heads set hash = ${hashOfThird}`,
      'cut off',
      '5',
    ],
  ])('shows %s', async (_name, statements, kind, seq) => {
    await recordFive()
    for (const statement of statements.split(';')) await change(statement)
    const { faults } = await verification().run()
    expect(faults).toEqual([{ chain: INSTALLATION_CHAIN, seq, kind }])
  })

  test('shows a chain that was removed with its head, by a checkpoint that was kept', async () => {
    await recordFive()
    const checkpoint = await checkpoints().make()
    await change('delete from audit_events')
    await change('delete from audit_heads')
    expect((await verification().run()).faults).toEqual([])
    const { faults } = await verification().run({ checkpoint })
    expect(faults).toEqual([{ chain: INSTALLATION_CHAIN, seq: '1', kind: 'cut off' }])
  })

  test('shows an older backup, by a checkpoint that was kept', async () => {
    await recordFive()
    const checkpoint = await checkpoints().make()
    await change('delete from audit_events where seq = 5')
    await change(
      `update audit_heads set seq = 4, hash = (select hash from audit_events where seq = 4)`,
    )
    expect((await verification().run()).faults).toEqual([])
    const { faults } = await verification().run({ checkpoint })
    expect(faults).toEqual([{ chain: INSTALLATION_CHAIN, seq: '5', kind: 'cut off' }])
  })

  test('still agrees with an earlier checkpoint after more events', async () => {
    await recordFive()
    const checkpoint = await checkpoints().make()
    await recordFive()
    expect(await verification().run({ checkpoint })).toEqual({ chains: 1, events: 10, faults: [] })
  })

  test('says why a checkpoint proves nothing', async () => {
    await recordFive()
    const checkpoint = await checkpoints().make()
    const reasons = async (text: string) =>
      (await verification().run({ checkpoint: text })).badCheckpoint
    expect(await reasons('nonsense')).toMatch(/whole text/)
    expect(await reasons(checkpoint.replace('\n5\n', '\n6\n'))).toMatch(/signature/)
    expect(await reasons(checkpoint.replace(keys.current.id, 'other'))).toMatch(/key other/)
  })

  test('makes one checkpoint an hour, whatever the number of replicas', async () => {
    await record()
    await Promise.all([1, 2, 3, 4].map(() => checkpoints().runRound()))
    expect(await checkpoints().list(10)).toHaveLength(1)
  })

  test('of replicas that start together has one key', async () => {
    await change('delete from audit_keys')
    const opened = await Promise.all([1, 2, 3, 4].map(openKeys))
    expect(new Set(opened.map(({ current }) => current.id)).size).toBe(1)
  })

  test('shows any change of any field, whatever it holds', async () => {
    const text = fc
      .string({ unit: 'binary', maxLength: 20 })
      .filter((value) => !value.includes('\0'))
    const field = fc.constantFrom(
      'action',
      'actor_kind',
      'address_prefix',
      'target_kind',
      'target_id',
    )
    await record({ target: { kind: 'user', id: 'x' } })
    await fc.assert(
      fc.asyncProperty(field, text, async (column, value) => {
        const { rows } = await sql<{ old: string | null }>`
          select ${sql.ref(column)} as old from audit_events`.execute(database.db)
        const old = rows[0]?.old ?? null
        if (value.toWellFormed() !== value || value === old) return
        await sql`update audit_events set ${sql.ref(column)} = ${value}`.execute(database.db)
        const { faults } = await verification().run()
        await sql`update audit_events set ${sql.ref(column)} = ${old}`.execute(database.db)
        expect(faults).toHaveLength(1)
        expect((await verification().run()).faults).toEqual([])
      }),
      { numRuns: 15 },
    )
  })
})
