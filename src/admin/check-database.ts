import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { checkDataDir } from '../config/setting-files.ts'
import { pendingMigrations } from '../database/migrations/migrate.ts'
import { openConfiguredDatabase } from '../database/open-configured.ts'
import { AppError } from '../errors.ts'
import { createLogger } from '../log.ts'
import type { Finding } from './finding.ts'

/** Changes nothing in a database and creates none; at most creates its folder. */
export async function checkDatabase(config: Config): Promise<Finding> {
  const { url, dataDir } = config.database
  const setting = url === undefined ? 'DATA_DIR' : 'DATABASE_URL'
  try {
    checkDataDir(config.database)
    if (url === undefined && !existsSync(join(dataDir, 'postgres'))) {
      return {
        setting,
        state: 'ok',
        words: `${resolve(dataDir)} is empty: the first start fills it`,
      }
    }
    return { setting, state: 'ok', words: await describe(config) }
  } catch (error) {
    const words = (error as Error).message.replace(`${setting}: `, '')
    // The running gateway holds it, so it is usable.
    if (isHeld(error))
      return { setting, state: 'ok', words: words.replace(/ Stop it first.*$/, '') }
    return { setting, state: 'wrong', words }
  }
}

async function describe(config: Config): Promise<string> {
  const database = await openConfiguredDatabase(config, createLogger('silent'))
  try {
    const ms = await database.ping()
    const pending = await pendingMigrations(database.db)
    const where =
      config.database.url === undefined ? resolve(config.database.dataDir) : 'PostgreSQL'
    const todo =
      pending.length === 0 ? '' : `; the next start migrates it (${pending.length} steps)`
    return `${where} answers in ${ms.toFixed(1)} ms${todo}`
  } finally {
    await database.close()
  }
}

const isHeld = (error: unknown) => error instanceof AppError && error.details?.held_by !== undefined
