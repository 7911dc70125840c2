/**
 * How a gateway stops without failing a call.
 *
 * A load balancer learns of it by `/readyz`, which takes it a few checks, and until then goes on
 * sending requests: they are served. Only then does the listener close. What has been asked by then
 * gets its answer, and the database is closed last.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import type { App } from './app.ts'
import type { Listening } from './http/listener/listen.ts'

export type StopTimes = {
  /** How long requests are still taken after `/readyz` has begun to say no. */
  drainMs: number
  /** How long answers and other requests under way may take then. */
  graceMs: number
}

/** What a stop waits for. */
export type UnderWay = { answers: number; requests: number }

/** Who waited until the end of the grace is told how it ended; one who does not read is not waited for. */
const LAST_ANSWERS_MS = 5_000
const LAST_ANSWERS_IN_A_HURRY_MS = 500

/**
 * Resolves when everything is closed. An answer that does not end within the grace is recorded as
 * `interrupted`, and its caller told so.
 *
 * @param hurry when it aborts, both times are over.
 * @param tellWaiting told what is still under way when the grace begins, if there is anything.
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
  const { running } = app.services
  const underWay = { answers: running.ids.length, requests: listening.openRequests }
  if (underWay.answers + underWay.requests > 0 && !hurry.aborted) tellWaiting(underWay)
  await within(
    graceMs,
    answered.then(() => running.untilIdle()),
    hurry,
  )
  await running.interrupt()
  await within(hurry.aborted ? LAST_ANSWERS_IN_A_HURRY_MS : LAST_ANSWERS_MS, answered)
  listening.cut()
  await app.close(0)
}

/** Waits for the work, though not for longer than `ms`, nor for its timer once the work is done. */
async function within(ms: number, work: Promise<void>, hurry?: AbortSignal): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, pause(ms, AbortSignal.any([done.signal, ...(hurry ? [hurry] : [])]))])
  done.abort()
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => {})
