/** Handles SIGTERM and SIGINT (Ctrl-C). */

import { constants } from 'node:os'

const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const
export type StopSignal = (typeof STOP_SIGNALS)[number]

/** Added to the signal's number, a shell's exit code for a program ended by a signal. */
const ENDED_BY_SIGNAL = 128

/** Under npm, one Ctrl-C arrives twice: from the terminal and from npm. */
const SAME_SIGNAL_MS = 500

type Options = {
  /** Whether npm forwards its signals to this process. */
  isUnderNpm: boolean
  /** Milliseconds; for tests. */
  clock?: () => number
  /** Called at the first signal. `hurry` aborts at the second. */
  onStop(signal: StopSignal, hurry: AbortSignal): void
}

/** Exits at the first signal. For the start, which may take long and serves nothing yet. */
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
 * The first signal stops gracefully; the second one stops at once, but still records everything;
 * the third exits immediately.
 *
 * @returns a function that acts like a signal.
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
