/** The settings in `.env`, for who starts the gateway by npm. */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { isUnderNpm } from './under-npm.ts'

/**
 * Puts what `.env` in the working folder sets into the environment, which wins where it has the name
 * already. Only under npm, which works beside package.json: elsewhere nobody would expect it.
 *
 * @returns its path; undefined when there is none.
 * @throws Error that names the file when it cannot be read.
 */
export function readDotEnv(): string | undefined {
  const path = resolve('.env')
  if (!isUnderNpm() || !existsSync(path)) return undefined
  try {
    process.loadEnvFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`${path} cannot be read (${code}). Change its owner or mode, or remove it.`)
  }
  return path
}
