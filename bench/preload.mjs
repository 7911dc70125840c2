/**
 * Loaded into every server that is measured, before its own code.
 *
 * Ends it with the harness, however that ends, and watches its event loop when asked to. Until it
 * is asked it costs nothing.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 10
let delay

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
process.on('message', (order) => {
  if (order === 'watch event loop') {
    delay ??= monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    delay.reset()
    delay.enable()
  }
  if (order === 'tell event loop' && delay) {
    delay.disable()
    // The histogram counts the timer's own period.
    const over = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    process.send({
      p50Ms: over(delay.percentile(50)),
      p99Ms: over(delay.percentile(99)),
      maxMs: over(delay.max),
    })
  }
})
process.channel?.unref()
