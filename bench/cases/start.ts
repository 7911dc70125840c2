import { defineCase } from '../harness/case.ts'
import { newDataDir, type Place, startGateway } from '../harness/gateway.ts'
import { spread } from '../harness/outcome-table.ts'
import type { Site } from '../harness/site.ts'
import { atMost } from '../harness/verdict.ts'
import { figure } from '../report/format.ts'
import { median } from '../report/statistics.ts'

type Start = { name: string; place(): Promise<Place>; mostMs: number; times: number[] }

export const start = defineCase({
  name: 'start',
  about: 'from the start of the process until /readyz says so',
  async run(site) {
    const starts = await startsOf(site)
    for (let round = 0; round < site.scale.rounds; round++) {
      for (const { place, times } of starts) times.push(await timeStart(site, await place()))
      process.stderr.write('.')
    }
    return {
      notes: ['Warm: the files have been read before. /readyz is asked every 5 ms.'],
      tables: [
        {
          heading: 'Milliseconds',
          columns: ['', 'median', 'min – max'],
          rows: starts.map(({ name, times }) => [name, figure(median(times)), spread(times)]),
        },
      ],
      verdicts: starts.map(({ name, times, mostMs }) =>
        atMost(`${name} < ${mostMs / 1000} s`, median(times), mostMs, 'ms'),
      ),
    }
  },
})

async function startsOf(site: Site): Promise<Start[]> {
  const { url } = await site.gateway()
  const used = { dataDir: await newDataDir() }
  await timeStart(site, used)
  return [
    { name: 'PostgreSQL', place: async () => ({ url }), mostMs: 1000, times: [] },
    { name: 'embedded', place: async () => used, mostMs: 2000, times: [] },
    {
      name: 'embedded, the first ever',
      place: async () => ({ dataDir: await newDataDir() }),
      mostMs: 3000,
      times: [],
    },
  ]
}

async function timeStart(site: Site, place: Place): Promise<number> {
  const server = await startGateway(site, place)
  await server.stop()
  return server.startMs
}
