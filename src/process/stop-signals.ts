/** What a process that serves does at SIGTERM and Ctrl-C, and how many of them it takes. */

import { constants } from 'node:os'

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const
export type StopSignal = (typeof STOP_SIGNALS)[number]

/** What a shell says of a program that ended by a signal. */
const ENDED_BY_SIGNAL = 128

/** Ctrl-C reaches a program that npm started twice: from the terminal, and from npm. */
const SAME_SIGNAL_MS = 500

type Options = {
  /** Whether npm hands its own signals on to this process. */
  isUnderNpm: boolean
  /** Milliseconds; for tests. */
  clock?: () => number
  /** At the first. `hurry` aborts at the second. */
  onStop(signal: StopSignal, hurry: AbortSignal): void
}

/** Ends the process at the first signal: a start may wait for long, and nothing is served yet. */
export function endOnSignals(): { off(): void } {
  const end = (signal: StopSignal) => process.exit(ENDED_BY_SIGNAL + constants.signals[signal])
  for (const signal of STOP_SIGNALS) process.on(signal, end)
  return {
    off() {
      for (const signal of STOP_SIGNALS) process.off(signal, end)
    },
  }
}

/**
 * The first signal stops with all the time there is, a second one at once, though with everything on
 * record, and a third ends the process as it stands.
 *
 * @returns stops as a signal does that nobody sent.
 */
export function stopOnSignals({
  isUnderNpm,
  onStop,
  clock = () => performance.now(),
}: Options): (signal: StopSignal) => void {
  const hurry = new AbortController()
  let lastAt: number | undefined
  const stop = (signal: StopSignal): void => {
    const isSame = isUnderNpm && lastAt !== undefined && clock() - lastAt < SAME_SIGNAL_MS
    if (isSame) return
    if (lastAt === undefined) onStop(signal, hurry.signal)
    else if (hurry.signal.aborted) process.exit(1)
    else hurry.abort()
    lastAt = clock()
  }
  for (const signal of STOP_SIGNALS) process.on(signal, stop)
  return stop
}
