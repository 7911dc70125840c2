import { apiItems, gatewayApi, proveApi } from '../harness/api-sends.ts'
import { defineCase } from '../harness/case.ts'
import { startGateway } from '../harness/gateway.ts'
import { rssBytes, watchMemory } from '../harness/process-usage.ts'
import { atLeast, atMost } from '../harness/verdict.ts'
import { figure } from '../report/format.ts'

const DELTA_MS = 250
const WARM_UP_STREAMS = 64
const RAMP_SECONDS = 3
/** Until garbage of the warm-up is likely to be gone. */
const REST_MS = 2000
const SHAPE = { bytes: 2_000, isStream: true }

export const messagesStreams = defineCase({
  name: 'messages-streams',
  about: 'a thousand streams of the Messages API at once through one process',
  async run(site) {
    const { streams, streamSeconds } = site.scale
    const bench = await site.gateway()
    const items = await apiItems(bench)
    const server = await startGateway(site, { url: bench.url })
    const contender = (count: number) =>
      gatewayApi(
        { ...bench, server },
        items,
        { connections: count, seconds: 60, requests: count },
        SHAPE,
      )
    await site.setUpstream({ deltas: 8, deltaMs: DELTA_MS })
    await proveApi(site, [contender(1)])
    await site.generator.run(contender(WARM_UP_STREAMS).job)
    await new Promise((resolve) => setTimeout(resolve, REST_MS))

    const { job, prepare, check } = contender(streams)
    job.rampSeconds = RAMP_SECONDS
    await prepare?.()
    await site.setUpstream({ deltas: (streamSeconds * 1000) / DELTA_MS, deltaMs: DELTA_MS })
    const restingBytes = rssBytes(server.pid) ?? Number.NaN
    const memory = watchMemory(server.pid)
    server.watchEventLoop()
    const result = await site.generator.run(job)
    const delay = await server.eventLoopDelay()
    const kilobytesEach = (memory.highest() - restingBytes) / 1024 / streams
    const { mostOpen } = await site.upstreamCounts()
    const complaint = (await check?.(result)) ?? Object.keys(result.errors)[0]
    await server.stop()
    return {
      notes: [
        `Each answer: ${(streamSeconds * 1000) / DELTA_MS} pieces, ${DELTA_MS} ms apart, begun within ${RAMP_SECONDS} s. A fresh process, warmed up with ${WARM_UP_STREAMS} streams; RSS growth is from then to its highest.`,
      ],
      tables: [
        {
          heading: `${streams} streams`,
          columns: ['complete', 'at once', 'RSS KB each', 'loop delay p99 ms', 'errors'],
          rows: [
            [
              `${result.requests} of ${streams}`,
              String(mostOpen),
              figure(kilobytesEach),
              figure(delay.p99Ms),
              complaint ?? '0',
            ],
          ],
        },
      ],
      verdicts: [
        atLeast(`all ${streams} complete`, result.requests, streams, 'answers'),
        atLeast('all of them at once at the upstream', mostOpen, streams, 'streams'),
        atMost('RSS growth <= 60 KB each', kilobytesEach, 60, 'KB'),
      ],
    }
  },
})
