/** Who is dead is told by the clock of whoever looks, whatever the database's clock does. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LeaseWatch } from '../../../src/services/operations/lease-watch.ts'
import { startSecondReplica } from '../../mcp/second-replica.ts'
import { runSql } from '../../support/database-supplies.ts'
import { hasPostgresql } from '../../support/databases.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

describe('a lease', () => {
  const LEASE_SECONDS = 12
  const at = (seconds: number) => seconds * 1000
  const leases = (lease: string, id = 'answer') => [{ id, lease }]

  test('that is not renewed for its time is over', () => {
    const watch = new LeaseWatch(LEASE_SECONDS)
    for (const seconds of [0, 4, 8, 11.9]) {
      expect(watch.look(leases('first'), at(seconds))).toEqual([])
    }
    expect(watch.look(leases('first'), at(12))).toEqual(['answer'])
  })

  test('that is renewed is not, whatever time it names', () => {
    const watch = new LeaseWatch(LEASE_SECONDS)
    const named = ['2026-11-28', '1970-01-01', '2099-01-01', '1970-01-02', '1970-01-01']
    for (let look = 0; look < 50; look++) {
      expect(watch.look(leases(named[look % 5] as string), at(look * 4))).toEqual([])
    }
  })

  test('is not held against anybody when the one who looks was away', () => {
    const watch = new LeaseWatch(LEASE_SECONDS)
    watch.look(leases('first'), at(0))
    expect(watch.look(leases('first'), at(100))).toEqual([])
    expect(watch.look(leases('first'), at(108))).toEqual([])
    expect(watch.look(leases('first'), at(112))).toEqual(['answer'])
  })

  test('is watched anew after trouble, and alone after its own', () => {
    const watch = new LeaseWatch(LEASE_SECONDS)
    const both = [...leases('first', 'one'), ...leases('first', 'two')]
    watch.look(both, at(0))
    watch.forget(['one'])
    watch.look(both, at(8))
    expect(watch.look(both, at(12))).toEqual(['two'])
    watch.forgetAll()
    watch.look(both, at(16))
    expect(watch.look(both, at(24))).toEqual([])
    expect(watch.look(both, at(28))).toEqual(['one', 'two'])
  })
})

/** Every lease is over by the database's clock, and yet renewed. */
const CLOCK_AHEAD = `
  create function clock_ahead() returns trigger language plpgsql as $$ begin
    new.lease_expires_at := new.lease_expires_at - interval '5 minutes'; return new; end $$;
  create trigger clock_ahead before insert or update of lease_expires_at on messages for each row
    when (new.lease_expires_at is not null) execute function clock_ahead()`

describe.runIf(hasPostgresql)('a database whose clock is ahead', () => {
  let app: TestApp
  let other: Awaited<ReturnType<typeof startSecondReplica>>

  beforeAll(async () => {
    app = await startApp({ kind: 'postgresql', claude: { chunkDelayMs: 40, chunkSize: 4 } })
    await runSql(app.databaseUrl as string, CLOCK_AHEAD)
    other = await startSecondReplica(app)
  })
  afterAll(async () => {
    await other.close()
    await app.close()
  })

  test('takes no living answer for dead', { timeout: 90_000 }, async () => {
    const client = await app.connect('legacy', (await app.register()).accessToken)
    // Longer than a lease and two looks of the other replica.
    const message = 'word '.repeat(400).trim()
    const { structured } = await client.call('send_message', { message })
    expect(structured.data).toMatchObject({ status: 'complete', content: message })
  })
})
