import { defineCase, ensure } from '../harness/case.ts'
import { runAdmin } from '../harness/gateway.ts'
import { spread } from '../harness/outcome-table.ts'
import { atMost } from '../harness/verdict.ts'
import { figure } from '../report/format.ts'
import { median } from '../report/statistics.ts'
import { seedAuditEvents } from '../seed/many-audit-events.ts'

const MOST_SECONDS = 10

export const auditLog = defineCase({
  name: 'audit-log',
  about: 'npm run admin -- audit verify over a million events',
  async run(site) {
    const events = site.scale.manyAuditEvents
    const { url, database } = await site.gateway()
    await seedAuditEvents(database.db, events)
    const times: number[] = []
    for (let round = 0; round < site.scale.rounds; round++) {
      const startedAt = performance.now()
      const said = await runAdmin({ url }, ['audit', 'verify'])
      times.push((performance.now() - startedAt) / 1000)
      const [, verified] = /audit log verified: (\d+) events/.exec(said) ?? []
      ensure(Number(verified) >= events, 'every event is verified')
      process.stderr.write('.')
    }
    return {
      notes: [
        'The whole command, from its start to its end. Every hash and every MAC is computed.',
      ],
      tables: [
        {
          heading: 'audit verify',
          columns: ['events', 'median', 'min – max'],
          rows: [[events.toLocaleString('en'), `${figure(median(times))} s`, spread(times)]],
        },
      ],
      verdicts: [
        atMost(
          `${events.toLocaleString('en')} events < ${MOST_SECONDS} s`,
          median(times),
          MOST_SECONDS,
          's',
        ),
      ],
    }
  },
})
