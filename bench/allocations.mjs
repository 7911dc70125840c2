/**
 * Loaded into gateways that are profiled: when one ends, it writes what it allocated, also what was
 * collected since, beside its CPU profile. Chrome DevTools reads both.
 */

import { writeFileSync } from 'node:fs'
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
  session.post('HeapProfiler.stopSampling', (_error, { profile }) => {
    writeFileSync(join(folder, `${process.pid}.heapprofile`), JSON.stringify(profile))
  })
})
