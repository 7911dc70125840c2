/**
 * Stops the gateway gracefully, without failing a call.
 *
 * A load balancer learns of the stop by `/readyz`, after a few checks, and sends requests until
 * then: they are served. Then the listener closes. Open requests get their answers, and the
 * database is closed last.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { App } from './app.ts'
import type { Listening } from './http/listener/listen.ts'

export type StopTimes = {
  /** How long requests are still accepted after `/readyz` begins to fail. */
  drainMs: number
  /** How long running answers and open requests may take after that. */
  graceMs: number
}

/** What a stop waits for. */
export type UnderWay = { answers: number; requests: number }

/** Time to send the last responses after the grace; a client that does not read is cut off. */
const LAST_ANSWERS_MS = 5_000
const LAST_ANSWERS_IN_A_HURRY_MS = 500

/**
 * Resolves when everything is closed. An answer that does not end within the grace is recorded as
 * `interrupted`, and its caller gets that error.
 *
 * @param hurry ends both times when it aborts.
 * @param tellWaiting called at the start of the grace with what is still running, if anything is.
 */
export async function stop(
  app: App,
  listening: Listening,
  { drainMs, graceMs }: StopTimes,
  hurry: AbortSignal,
  tellWaiting: (underWay: UnderWay) => void = () => {},
): Promise<void> {
  app.services.health.leave()
  listening.leave()
  await pause(drainMs, hurry)
  const answered = listening.close({ inHurry: drainMs === 0 || hurry.aborted })
  const { running, runningCalls } = app.services
  const underWay = { answers: running.ids.length, requests: listening.openRequests }
  if (underWay.answers + underWay.requests > 0 && !hurry.aborted) tellWaiting(underWay)
  await within(
    graceMs,
    answered.then(() => running.untilIdle()).then(() => runningCalls.untilIdle()),
    hurry,
  )
  await Promise.all([running.interrupt(), runningCalls.interrupt()])
  await within(hurry.aborted ? LAST_ANSWERS_IN_A_HURRY_MS : LAST_ANSWERS_MS, answered)
  listening.cut()
  await app.close(0)
}

/** Waits for the work, for at most `ms`. Clears its timer once the work is done. */
async function within(ms: number, work: Promise<void>, hurry?: AbortSignal): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, pause(ms, AbortSignal.any([done.signal, ...(hurry ? [hurry] : [])]))])
  done.abort()
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => {})
