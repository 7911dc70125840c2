import { randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'

/**
 * The base64 text of 32 random bytes kept in a file: made on the first call, mode 0600, and read
 * on every later one.
 */
export async function readOrMakeKeyFile(path: string): Promise<string> {
  const made = randomBytes(32).toString('base64')
  try {
    await writeFile(path, `${made}\n`, { mode: 0o600, flag: 'wx', flush: true })
    return made
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await chmod(path, 0o600)
    return (await readFile(path, 'utf8')).trim()
  }
}
