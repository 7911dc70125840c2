/**
 * Loaded into gateways that are profiled: when one ends, it writes what it allocated, also what was
 * collected since, beside its CPU profile. Chrome DevTools reads both.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { join } from 'node:path'

const FOLDER = '--cpu-prof-dir='
/** On average, between two samples. */
const INTERVAL_BYTES = 32_768

const folder = process.execArgv.find((arg) => arg.startsWith(FOLDER))?.slice(FOLDER.length)
const session = new Session()
session.connect()
session.post('HeapProfiler.startSampling', {
  samplingInterval: INTERVAL_BYTES,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true,
})

process.on('exit', () => {
  session.post('HeapProfiler.stopSampling', (error, result) => {
    if (error) throw new Error(`no profile of allocations: ${error.message}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${process.pid}.heapprofile`), JSON.stringify(result.profile))
  })
})
