/** Starts for ever. */

import { endOnSignals } from '../../src/process/stop-signals.ts'

endOnSignals()
setInterval(() => {}, 1_000_000)
process.stdout.write('ready\n')
