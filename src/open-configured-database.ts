import type { Config } from './config.ts'
import { type Database, openDatabase } from './database/open.ts'
import type { Logger } from './log.ts'

/** @param onEnd as openDatabase has it. @throws AppError like openDatabase. */
export async function openConfiguredDatabase(
  config: Config,
  log: Logger,
  onEnd?: (error: unknown) => void,
): Promise<Database> {
  const database = await openDatabase({
    ...config.database,
    log,
    onEnd,
    warn: (message) => log.warn(message),
    onError: (err) => log.warn({ err }, 'a database connection broke'),
  })
  if (database.recovery)
    log.warn(database.recovery, 'the database was damaged: went back to a copy')
  return database
}
