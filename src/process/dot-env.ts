/** Reads settings from `.env` when npm starts the gateway. */

import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { isUnderNpm } from './under-npm.ts'

/**
 * Adds the settings of `.env` in the working folder to the environment; existing variables win.
 * Only under npm, which runs in the folder of package.json: elsewhere it would be a surprise.
 *
 * @returns its path; undefined when there is none.
 * @throws Error that names the file when it cannot be read, or is UTF-16.
 */
export function readDotEnv(): string | undefined {
  const path = resolve('.env')
  if (!isUnderNpm() || !existsSync(path)) return undefined
  for (const [name, value] of Object.entries(parseEnv(textOf(path)))) process.env[name] ??= value
  return path
}

/** Removes a byte order mark, which some editors add: it would become part of a name. */
function textOf(path: string): string {
  const text = read(path).toString('utf8')
  if (text.includes('\0')) {
    throw new Error(`${path} is in UTF-16, as PowerShell writes files. Save it as UTF-8.`)
  }
  return text.replace(/^\ufeff/, '')
}

function read(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`${path} cannot be read (${code}). Change its owner or mode, or remove it.`)
  }
}
