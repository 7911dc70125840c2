/** The audit log is verified every night by one of the replicas, which tells its log. */

import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeDatabases } from '../../support/databases.ts'
import { startApp, type TestApp } from '../../support/start-app.ts'

const CHAIN = '00000000-0000-0000-0000-000000000000'
const NIGHT = new Date('2026-12-01T03:00:00Z')
const later = (hours: number) => new Date(NIGHT.getTime() + hours * 3_600_000)

describeDatabases('the nightly verification of the audit log', (kind) => {
  let app: TestApp

  beforeEach(async () => {
    app = await startApp({ kind })
    // Each of them begins a session, which is an event.
    for (let user = 0; user < 3; user++) await app.register()
  })
  afterEach(() => app.close())

  const round = (now: Date, signal = new AbortController().signal) =>
    app.app.services.audit.nightly.runRound(signal, now)
  const told = () =>
    app.logLines
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => /^(the )?(audit log|newest checkpoint)/.test(msg))
      .map(({ level, msg, chain, seq, fault }) => ({ level, msg, chain, seq, fault }))
  const change = (statement: string) => sql.raw(statement).execute(app.app.db)

  test('finds what was changed, and says in which chain and where', async () => {
    await round(NIGHT)
    expect(told()).toMatchObject([{ level: 'info', msg: 'audit log verified' }])
    await change(`update audit_events set detail = '{"kind":"browser"}' where seq = 2`)
    await round(later(24))
    expect(told().slice(1)).toEqual([
      {
        level: 'error',
        msg: 'the audit log does not verify',
        chain: CHAIN,
        seq: '2',
        fault: 'edited',
      },
    ])
  })

  test('finds what was cut off together with its head, by the newest checkpoint', async () => {
    await app.app.services.audit.checkpoints.make()
    await change(`delete from audit_events where seq = (select seq from audit_heads)`)
    await change(`update audit_heads h set seq = h.seq - 1,
      hash = (select e.hash from audit_events e where e.chain = h.chain and e.seq = h.seq - 1)`)
    await round(NIGHT)
    expect(told()).toMatchObject([{ level: 'error', chain: CHAIN, fault: 'cut off' }])
    await change(`update audit_checkpoints set text = replace(text, '—', '–')`)
    await round(later(24))
    expect(told().slice(1)).toMatchObject([
      { level: 'error', msg: 'the newest checkpoint of the audit log proves nothing' },
      { level: 'info', msg: 'audit log verified' },
    ])
  })

  test('is done once a night, by all replicas together', async () => {
    await Promise.all([round(NIGHT), round(later(1)), round(later(2))])
    await round(later(23.9))
    expect(told()).toHaveLength(1)
    await round(later(24))
    expect(told()).toHaveLength(2)
  })

  test('stays due where it was stopped', async () => {
    await expect(round(NIGHT, AbortSignal.abort())).rejects.toThrow('aborted')
    expect(told()).toEqual([])
    await round(NIGHT)
    expect(told()).toHaveLength(1)
  })
})
