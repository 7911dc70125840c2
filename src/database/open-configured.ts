import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { type Database, type DatabaseOptions, openDatabase } from './open.ts'

type Options = {
  onEnd?: DatabaseOptions['onEnd']
  /** How long an unavailable database is retried; one attempt unless given. */
  patienceMs?: number
}

const PAUSE_MS = 1_000

/** @throws AppError like openDatabase. */
export async function openConfiguredDatabase(
  config: Config,
  log: Logger,
  { onEnd, patienceMs = 0 }: Options = {},
): Promise<Database> {
  const open = () =>
    openDatabase({
      ...config.database,
      log,
      onEnd,
      warn: (message) => log.warn(message),
      onError: (err) => log.warn({ err }, 'a database connection broke'),
    })
  const database = await patiently(open, patienceMs, log)
  if (database.recovery)
    log.warn(database.recovery, 'the database was damaged: went back to a copy')
  return database
}

/** Retries what is retryable, and warns each time the reason changes. */
async function patiently<T>(work: () => Promise<T>, patienceMs: number, log: Logger): Promise<T> {
  const until = performance.now() + patienceMs
  let said = ''
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const mayPass = error instanceof AppError && error.retryable
      if (!mayPass || performance.now() >= until) throw error
      const why = error.message
      if (why !== said) log.warn(`${why} Trying again for ${secondsUntil(until)} s.`)
      said = why
      await sleep(PAUSE_MS)
    }
  }
}

const secondsUntil = (instant: number) => Math.ceil((instant - performance.now()) / 1000)
