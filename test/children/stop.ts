/** Stops on signals, and says what it does; argument: whether npm is there. */

import { stopOnSignals } from '../../src/process/stop-signals.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)
let now = 0

stopOnSignals({
  isUnderNpm: process.argv[2] === 'true',
  clock: () => now,
  onStop(signal, hurry) {
    say(`stop ${signal}`)
    hurry.addEventListener('abort', () => say('hurry'))
  },
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => say(`got ${signal}`))
process.stdin.on('data', () => {
  now += 60_000
  say('later')
})
say('ready')
