/** The load generator: a process of its own that does the jobs it is sent, one at a time. */

import { Connection } from './connection.ts'
import type { Job, LoadResult } from './job.ts'
import { Recorder } from './recorder.ts'

process.on('disconnect', () => process.exit())
process.on('message', (job: Job) => {
  perform(job).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ failure: String(error) }),
  )
})

async function perform(job: Job): Promise<LoadResult> {
  const recorder = new Recorder()
  const startedAt = performance.now()
  const endsAt = startedAt + job.seconds * 1000
  let begun = 0
  const mayBegin = () => {
    if (begun >= (job.requests ?? Number.POSITIVE_INFINITY)) return undefined
    if (performance.now() >= endsAt) return undefined
    begun += 1
    return begun
  }
  const connections = Array.from({ length: job.connections }, (_, index) => {
    const origin = String(job.origins[index % job.origins.length])
    const own = job.items.filter((_, item) => item % job.connections === index)
    const items = own.length > 0 ? own : job.items
    return new Connection(job, { origin, items }, recorder, mayBegin)
  })
  const pauseMs = ((job.rampSeconds ?? 0) * 1000) / job.connections
  await Promise.all(
    connections.map(async (connection, index) => {
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, index * pauseMs))
      return connection.run()
    }),
  )
  return recorder.result((performance.now() - startedAt) / 1000)
}
