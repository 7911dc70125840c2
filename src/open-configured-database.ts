import type { Config } from './config.ts'
import { type Database, openDatabase } from './database/open.ts'
import type { Logger } from './log.ts'

/** @throws AppError like openDatabase. */
export function openConfiguredDatabase({ database }: Config, log: Logger): Promise<Database> {
  return openDatabase({
    ...database,
    warn: (message) => log.warn(message),
    onError: (err) => log.warn({ err }, 'a database connection broke'),
  })
}
