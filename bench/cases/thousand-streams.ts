import { type CaseReport, defineCase } from '../harness/case.ts'
import { startGateway } from '../harness/gateway.ts'
import { Prober } from '../harness/prober.ts'
import { rssBytes, watchMemory } from '../harness/process-usage.ts'
import { gatewaySends, proveSend } from '../harness/sends.ts'
import type { Site } from '../harness/site.ts'
import { atLeast, atMost } from '../harness/verdict.ts'
import { ERAS, type Era, gatewayCall, QUESTION } from '../load/calls.ts'
import { figure } from '../report/format.ts'
import { percentile } from '../report/statistics.ts'

const DELTA_MS = 250
const WARM_UP_STREAMS = 64
/** A part of what an answer takes, so that all of them overlap. */
const RAMP_SECONDS = 3
/** Until garbage of the warm-up is likely to be gone. */
const REST_MS = 2000

export const thousandStreams = defineCase({
  name: 'thousand-streams',
  about: 'a thousand answers streaming at once through one process',
  async run(site) {
    const { streams, streamSeconds } = site.scale
    const report: CaseReport = { notes: [], tables: [], verdicts: [] }
    const columns = ['', 'complete', 'at once', 'seconds', 'RSS MB before', 'RSS KB each']
    const rows: string[][] = []
    for (const era of ERAS) {
      const found = await streamAtOnce(site, era)
      rows.push([
        `MCP ${era}`,
        `${found.complete} of ${streams}`,
        String(found.atOnce),
        figure(found.seconds),
        figure(found.restingBytes / 2 ** 20),
        figure(found.kilobytesEach),
        figure(found.delay.p99Ms),
        figure(found.delay.maxMs),
        figure(percentile(found.probes, 0.99)),
        found.complaint ?? '0',
      ])
      report.verdicts.push(
        atLeast(`MCP ${era}: all ${streams} complete`, found.complete, streams, 'answers'),
        atLeast(
          `MCP ${era}: all of them at once at the upstream`,
          found.atOnce,
          streams,
          'streams',
        ),
        atMost(`MCP ${era}: RSS growth <= 60 KB each`, found.kilobytesEach, 60, 'KB'),
        atMost(`MCP ${era}: event-loop delay p99 < 50 ms`, found.delay.p99Ms, 50, 'ms'),
      )
    }
    report.notes.push(
      `Each answer: ${(streamSeconds * 1000) / DELTA_MS} pieces, ${DELTA_MS} ms apart, with progress, begun within ${RAMP_SECONDS} s; its 10 messages of history and everything else as in send-message. A fresh process, warmed up with ${WARM_UP_STREAMS} streams; RSS growth is from then to its highest.`,
    )
    const delays = ['loop delay p99 ms', 'longest ms', '/livez p99 ms', 'errors']
    report.tables.push({ heading: `${streams} answers`, columns: [...columns, ...delays], rows })
    return report
  },
})

async function streamAtOnce(site: Site, era: Era) {
  const { streams, streamSeconds } = site.scale
  const bench = await site.gateway()
  const server = await startGateway(site, { url: bench.url })
  await site.setUpstream()
  await proveSend({ ...bench, server }, era)
  const contender = (count: number) =>
    gatewaySends(
      { ...bench, server },
      era,
      { connections: count, seconds: 60, requests: count },
      { call: sendPatiently(era) },
    )
  await site.setUpstream({ deltas: 8, deltaMs: DELTA_MS })
  await site.generator.run(contender(WARM_UP_STREAMS).job)
  await new Promise((resolve) => setTimeout(resolve, REST_MS))

  const { job, prepare, check } = contender(streams)
  job.rampSeconds = RAMP_SECONDS
  await prepare?.()
  await site.setUpstream({ deltas: (streamSeconds * 1000) / DELTA_MS, deltaMs: DELTA_MS })
  const restingBytes = rssBytes(server.pid) ?? Number.NaN
  const memory = watchMemory(server.pid)
  const prober = new Prober(server.origin, { everyMs: 50 })
  server.watchEventLoop()
  const result = await site.generator.run(job)
  const delay = await server.eventLoopDelay()
  const probes = await prober.stop()
  const growth = memory.highest() - restingBytes
  const complaint = (await check?.(result)) ?? Object.keys(result.errors)[0]
  await server.stop()
  return {
    complete: result.requests,
    atOnce: (await site.upstreamCounts()).mostOpen,
    seconds: result.seconds,
    restingBytes,
    kilobytesEach: growth / 1024 / streams,
    delay,
    probes,
    complaint,
  }
}

/** The answer may have to wait its turn. */
const sendPatiently = (era: Era) =>
  gatewayCall(
    era,
    'send_message',
    { message: QUESTION, conversation_id: '{{value}}', wait_seconds: 120 },
    { expect: '"status":"complete"', progress: true },
  )
